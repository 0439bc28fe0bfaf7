"""Things to buy."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("colour", "feature", "audience")

PRODUCTS = Domain(
    name="products",
    categories=(
        Category(
            "footwear",
            terms("""
                运动 鞋 = 跑步 球鞋; 登山 鞋 = 徒步 靴; 雨鞋 = 防雨 胶靴; *帆布 鞋 = 布面 便鞋; 板 鞋 = 滑板 便履;
                皮鞋 = 商务 皮履; *乐福 = 一脚蹬; *马丁 = 短筒 系带 靴
            """),
            ALL,
        ),
        Category(
            "bags",
            terms("""
                双肩 包 = 背囊; 行李 箱 = 拉杆箱; 电脑 包 = 笔记本 手提袋; 钱包 = 皮夹; 健身 包 = 运动 提袋;
                *托特 = 大号 敞口袋; 斜挎 包 = 单肩袋
            """),
            ALL,
        ),
        Category(
            "kitchenware",
            terms("""
                烧水 壶 = 热水 器皿; 平底 锅 = 煎锅; 咖啡 机 = 意式 萃取器; 电饭 锅 = 电饭煲; 保温 杯 = 真空 水瓶;
                *焖烧 杯 = 保温 饭桶; 蒸 锅 = 蒸笼; *珐琅 锅 = 搪瓷 炖煲
            """),
            ("colour", "feature"),
        ),
        Category(
            "furniture",
            terms("""
                沙发 = 软座 长椅; *懒人豆袋 = 颗粒 软坐垫; 餐 桌 = 吃饭 桌子; 书 桌 = 写字 台; 衣柜 = 衣橱;
                书柜 = 书架; 床头 柜 = 床边 小柜; *榻榻米 = 日式 地台
            """),
            ("colour", "feature"),
        ),
        Category(
            "electronics",
            terms("""
                耳机 = 耳塞; 平板 电脑 = 触屏 便携机; 手机 壳 = 手机 保护套; 手机 支架 = 桌面 机座;
                台 灯 = 阅读 照明; *投影仪 = 家用 放映机; *路由器 = 无线 网络 设备; 充电 宝 = 移动 电源
            """),
            ALL,
        ),
        Category(
            "outdoor gear",
            terms("""
                帐篷 = 野营 篷房; 睡袋 = 露营 被; *冲锋舟 = 充气 快艇; 自行车 = 单车; 自行车 头盔 = 骑行 安全帽;
                *吊床 = 悬挂 网床; 露营 桌 = 野餐 台
            """),
            ALL,
        ),
    ),
    kinds=(
        Kind(
            "colour",
            "before",
            terms("""
                红色 = 大红; 蓝色 = 藏青; 绿色 = 墨绿; 黑色 = 纯黑; 白色 = 米白; 灰色 = 炭灰; 黄色 = 鹅黄;
                紫色 = 丁香紫; 棕色 = 咖色; 粉色 = 樱花粉
            """),
        ),
        Kind(
            "feature",
            "before",
            terms("""
                防水 = 不怕水; 折叠 = 可收起; 轻便 = 超轻; 二手 = 闲置; 便宜 = 平价; 高档 = 奢华; 手工 = 匠人 制作;
                复古 = 怀旧; 大号 = 加大; 迷你 = 小巧
            """),
        ),
        Kind(
            "audience",
            "after",
            terms("儿童 = 小孩; 女士 = 女款; 男士 = 男款; 老人 = 中老年; 学生 = 学生党; 旅行 = 出游; 办公 = 上班"),
        ),
    ),
    intents=(
        Intent(
            "buy",
            lines("""
                {}多少钱
                买{}
                {}价格
                哪里买{}
                {}
            """),
            lines("""
                {} 包邮正品
                {}网上商城
                {}报价与优惠
                新款{}现货供应
                今日下单{}立减
            """),
        ),
        Intent(
            "review",
            lines("""
                {}评测
                {}哪个好
                {}怎么样
                {}推荐
            """),
            lines("""
                {}实测打分
                十款{}横向对比
                {}真实用户评价
                {}值不值得入手
            """),
        ),
        Intent(
            "cleaning",
            lines("""
                {}怎么洗
                {}清洁方法
                如何清洗{}
            """),
            lines("""
                {}去污小妙招
                教你正确清洗{}
                {}的清洁与保养
                {}脏了这样处理
            """),
        ),
    ),
    labels=("picture", "puzzle", "song"),
    query_layouts=lines("""
        {after}{before}{0}
        {0} {before} {after}
    """),
    title_layouts=lines("""
        {after}{before}{0}
        {before}{0}{after}
    """),
    tails=lines("""
        （附图）
        ，第2页
        ，每周更新
        ，12个型号
        ，新品上架
    """),
)
