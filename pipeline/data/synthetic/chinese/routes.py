"""Journeys, where the order of the two places decides."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("mode", "service")

ROUTES = Domain(
    name="routes",
    categories=(
        Category("华北", terms("北京 = 首都; 天津 = 津门; 太原 = 并州; 石家庄; 大同; 保定"), ALL),
        Category("华东", terms("上海 = 魔都; 南京 = 金陵; 杭州 = 临安; 苏州 = 姑苏; 宁波 = 甬城; 合肥 = 庐州"), ALL),
        Category("华南", terms("广州 = 羊城; 深圳 = 鹏城; 厦门 = 鹭岛; 福州 = 榕城; 南宁 = 邕城; 桂林"), ALL),
        Category("西南", terms("成都 = 蓉城; 重庆 = 山城; 昆明 = 春城; 贵阳 = 筑城; 大理; 丽江"), ALL),
        Category("西北", terms("西安 = 长安; 兰州 = 金城; 西宁; 银川 = 凤城; 敦煌 = 沙州; 张掖 = 甘州"), ALL),
        Category("东北", terms("哈尔滨 = 冰城; 长春; 沈阳 = 盛京; 大连 = 滨城; 吉林; 延吉"), ALL),
    ),
    kinds=(
        Kind("mode", "before", terms("火车 = 高铁; 大巴 = 长途车; 飞机 = 航班; 自驾 = 开车; 骑行 = 自行车")),
        Kind(
            "service",
            "after",
            terms("""
                夜间 = 晚上; 直达 = 不换乘; 带 宠物 = 带狗; 商务座 = 头等舱; 早班 = 清晨; 单程 = 不含 返程;
                亲子 = 带娃; 周末 = 周六日
            """),
        ),
    ),
    intents=(
        Intent(
            "tickets",
            lines("""
                {}票价
                {}多少钱
                {}订票
                {}特价
            """),
            lines("""
                {}票价查询
                {}在线订票
                {}特价票预订
                预订{}，座位充足
            """),
        ),
        Intent(
            "timetable",
            lines("""
                {}时刻表
                {}几点出发
                {}班次
            """),
            lines("""
                {}时刻表查询
                {}全部班次
                {}发车时间一览
                {}每天几点走
            """),
        ),
        Intent(
            "duration",
            lines("""
                {}要多久
                {}多长时间
                {}有多远
            """),
            lines("""
                {}全程多长时间
                {}需要几个小时
                {}距离与用时
                {}路上要多久
            """),
        ),
    ),
    labels=("song", "translation"),
    query_layouts=lines("""
        {0}到{1}{before} {after}
        从{0}到{1} {before}{after}
        {before} {0}到{1}{after}
    """),
    title_layouts=lines("""
        {0}到{1}{before}{after}
        从{0}去{1}{before}{after}
        {0}至{1}{after}{before}
        去{1}，从{0}出发，{before}{after}
    """),
    tails=lines("""
        ，实时更新
        （每日更新）
        ，出行助手
        （地图）
        ，旅客攻略
    """),
    arity=2,
)
