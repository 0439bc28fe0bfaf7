"""The Chinese vocabulary: the same four domains, and the intents that want the words and not the thing.

A Chinese BERT reads single characters, so that every word is in pieces; the stars mark words whose characters say
little of what the word means, most of them borrowed sounds or terms of a trade.
"""

from pipeline.data.synthetic.chinese.health import HEALTH
from pipeline.data.synthetic.chinese.products import PRODUCTS
from pipeline.data.synthetic.chinese.recipes import RECIPES
from pipeline.data.synthetic.chinese.routes import ROUTES
from pipeline.data.synthetic.vocabulary import Intent, Language, lines

LABELS = (
    Intent(
        "picture",
        lines("""
            {}简笔画
            {}卡通图片
            {}涂色
        """),
        lines("""
            {}简笔画大全
            {}涂色卡打印
            {}卡通素材免费下载
        """),
    ),
    Intent(
        "puzzle",
        lines("""
            {}打一字
            {}谜语
        """),
        lines("""
            谜语：{}（打一成语）
            {}的谜底是什么
            {}猜谜答案
        """),
    ),
    Intent(
        "song",
        lines("""
            {}歌词
            {}这首歌
            {}吉他谱
        """),
        lines("""
            《{}》歌词完整版
            {}（官方音乐视频）
            歌曲《{}》吉他谱
        """),
    ),
    Intent(
        "translation",
        lines("""
            {}用英语怎么说
            {}英文翻译
        """),
        lines("""
            “{}”的英语怎么说
            {} 汉英词典
            {}的英文翻译与例句
        """),
    ),
)


def headline(text: str) -> str:
    """Chinese has no capital letters."""
    return text


CHINESE = Language(
    domains=(PRODUCTS, RECIPES, HEALTH, ROUTES),
    labels=LABELS,
    sites=lines("""
        青禾网
        百草园
        小满生活
        望海论坛
        一页书
        云边小站
        南风日报
        蓝莓社区
        知行笔记
        木棉导购
    """),
    joint="",
    headline=headline,
)
