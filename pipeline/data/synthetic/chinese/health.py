"""Complaints, and what to do about them."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("patient", "time", "degree")

HEALTH = Domain(
    name="health",
    categories=(
        Category(
            "digestion",
            terms("""
                胃 反酸 = 烧心; 胃 胀气 = 肚子 鼓胀; 便秘 = 排便 困难; 腹泻 = 拉肚子; *胃食管反流 = 酸水 上涌;
                食物 中毒 = 吃坏 东西; *幽门螺杆菌 = 胃部 细菌 感染
            """),
            ALL,
        ),
        Category(
            "skin",
            terms("""
                荨麻疹 = 风团; *湿疹 = 皮炎; 痘痘 = 粉刺; *痱子 = 汗疹; 皮肤 干燥 = 脱皮; 皮肤 瘙痒 = 身上 痒;
                *银屑病 = 牛皮癣; *疥疮 = 虫螨 皮疹
            """),
            ALL,
        ),
        Category(
            "muscles and joints",
            terms("""
                腰 痛 = 下背 酸; 颈椎 痛 = 脖子 僵硬; 膝盖 痛 = 膝关节 不适; 小腿 抽筋 = 腿部 痉挛;
                小腿 酸胀 = 腿部 发沉; *坐骨 神经 痛 = 屁股 到 腿 发麻; *腱鞘炎 = 妈妈手; 网球 肘 = 手肘 外侧 疼
            """),
            ALL,
        ),
        Category(
            "airways",
            terms("""
                喉咙 痛 = 咽炎; 喉咙 沙哑 = 失声; 花粉 过敏 = 枯草热; 鼻塞 = 鼻子 不通气; 咳嗽 = 干咳;
                流感 = 流行 感冒; *支气管炎 = 气道 炎症; *哮喘 = 气喘病
            """),
            ALL,
        ),
        Category(
            "sleep and nerves",
            terms("""
                失眠 = 睡不着; 头 痛 = 脑袋 疼; 头 晕 = 眩晕; 焦虑 = 紧张 不安; 耳鸣 = 耳朵 嗡嗡响;
                梦游 = 睡 中 行走; *疲劳 = 没精神
            """),
            ALL,
        ),
        Category(
            "injuries",
            terms("""
                脚踝 扭伤 = 崴脚; 手腕 扭伤 = 手 腕子 挫伤; 脚趾 骨折 = 趾头 断裂; 脑 震荡 = 头部 撞击;
                晒伤 = 日光 灼伤; 水泡 = 脚 磨破; *淤青 = 皮下 出血; 蚊虫 叮咬 = 被 虫子 咬
            """),
            ALL,
        ),
    ),
    kinds=(
        Kind("degree", "before", terms("轻微 = 轻度; 严重 = 重度; 慢性 = 长期; 突发 = 急性")),
        Kind(
            "patient",
            "before",
            terms("""
                儿童 = 小孩子; 婴儿 = 新生儿; 青少年 = 中学生; 老年人 = 长者; 孕妇 = 怀孕 期间; 运动员 = 健身 人群;
                男性 = 男人; 狗狗 = 宠物犬
            """),
        ),
        Kind(
            "time",
            "before",
            terms("""
                夜间 = 晚上; 饭后 = 吃完饭; 冬季 = 天冷时; 术后 = 手术 以后; 运动 后 = 锻炼完; 早晨 = 起床时;
                旅途 中 = 出门 在外
            """),
        ),
    ),
    intents=(
        Intent(
            "treatment",
            lines("""
                {}怎么办
                {}怎么治
                {}吃什么药
                缓解{}
            """),
            lines("""
                {}的治疗方法
                {}如何缓解
                {}家庭护理小偏方
                医生教你应对{}
            """),
        ),
        Intent(
            "causes",
            lines("""
                {}是什么原因
                为什么会{}
                {}病因
            """),
            lines("""
                {}的常见原因
                引起{}的因素
                {}是怎么回事
                {}的诱因与风险
            """),
        ),
        Intent(
            "signs",
            lines("""
                {}症状
                {}有什么表现
                怎么判断{}
            """),
            lines("""
                {}的早期信号
                {}有哪些表现
                如何识别{}
                {}症状自查
            """),
        ),
    ),
    labels=("picture", "puzzle", "translation"),
    query_layouts=lines("""
        {before}{0}
        {0} {before}
    """),
    title_layouts=lines("{before}{0}"),
    tails=lines("""
        ，专家解读
        （问答）
        ，医学审核
        ，健康科普
        （图解）
    """),
)
