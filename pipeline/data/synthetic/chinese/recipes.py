"""Dishes and drinks to make, count and keep."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

RECIPES = Domain(
    name="recipes",
    categories=(
        Category(
            "soups",
            terms("""
                番茄 汤 = 西红柿 羹; 鸡 汤 = 老母鸡 高汤; 冬瓜 汤 = 白瓜 清汤; 排骨 汤 = 骨头 浓汤;
                玉米 浓汤 = 粟米 羹; *罗宋 汤 = 红菜头 汤; *味噌 汤 = 日式 豆酱 汤; *冬阴功 = 泰式 酸辣 虾汤
            """),
            ("diet", "appliance", "guests"),
        ),
        Category(
            "cakes",
            terms("""
                巧克力 蛋糕 = 可可 糕; 胡萝卜 蛋糕 = 红萝卜 糕; 芝士 蛋糕 = 奶酪 糕点; 海绵 蛋糕 = 松软 鸡蛋糕;
                *提拉米苏 = 意式 咖啡 甜点; *布朗尼 = 巧克力 方块; *马卡龙 = 法式 杏仁 小圆饼; *泡芙 = 奶油 空心 球
            """),
            ("diet", "pace", "guests"),
        ),
        Category(
            "breads",
            terms("""
                大蒜 面包 = 蒜香 法棍; 香蕉 面包 = 香蕉 吐司; 全麦 面包 = 粗粮 吐司; 馒头 = 馍; 花卷 = 葱花 卷馍;
                *贝果 = 犹太 圈饼; *可颂 = 牛角包; *佛卡夏 = 意大利 扁面包
            """),
            ("diet", "pace", "appliance"),
        ),
        Category(
            "main dishes",
            terms("""
                蛋 炒饭 = 鸡蛋 炒 米饭; 扬州 炒饭 = 什锦 炒 米饭; 红烧 肉 = 酱 焖 五花肉; 回锅 肉 = 川味 熬锅肉;
                土豆 炖 牛肉 = 马铃薯 焖 牛腩; *披萨 = 意式 烤饼; *咖喱 鸡 = 印度 香料 鸡块; *寿司 = 日式 饭团 卷
            """),
            ("diet", "appliance", "guests"),
        ),
        Category(
            "drinks",
            terms("""
                热 可可 = 巧克力 热饮; 冰 咖啡 = 冷萃; 冰 红茶 = 柠檬 冷茶; 奶 茶 = 牛乳 茶饮; 酸梅 汤 = 乌梅 饮;
                *康普茶 = 红茶菌; *莫吉托 = 薄荷 朗姆 酒; *奇亚籽 饮 = 鼠尾草 种子 水
            """),
            ("diet", "pace", "guests"),
        ),
        Category(
            "salads",
            terms("""
                土豆 沙拉 = 马铃薯 冷盘; 水果 沙拉 = 鲜果 拼盘; 鸡肉 沙拉 = 鸡胸 冷盘; 拍 黄瓜 = 凉拌 青瓜;
                凉拌 木耳 = 冷吃 黑菜; *泡菜 = 韩式 辣白菜; *鹰嘴豆 泥 = 中东 豆蓉; *牛油果 酱 = 鳄梨 蘸料
            """),
            ("diet", "pace", "guests"),
        ),
    ),
    kinds=(
        Kind(
            "diet",
            "before",
            terms("""
                素食 = 纯素; 无麸质 = 不含 小麦; 无糖 = 不加糖; 低脂 = 少油; 低碳 = 少 碳水; 无奶 = 不含 乳糖;
                麻辣 = 香辣; 高蛋白 = 富含 蛋白
            """),
        ),
        Kind("pace", "before", terms("快手 = 十分钟; 隔夜 = 提前 做好; 简单 = 零失败; 传统 = 老式")),
        Kind(
            "appliance",
            "after",
            terms("""
                慢炖锅 版 = 慢煮锅 版; 微波炉 版 = 叮一叮; 空气炸锅 版 = 无油 炸锅; 烤箱 版 = 烘烤;
                高压锅 版 = 压力锅; 炭火 版 = 明火 烧烤
            """),
        ),
        Kind(
            "guests",
            "after",
            terms("""
                两人份 = 情侣 装; 一人份 = 单身 餐; 聚会 用 = 多人 分享; 宝宝 版 = 婴幼儿 辅食; 春节 版 = 过年;
                野餐 用 = 郊游 便携
            """),
        ),
    ),
    intents=(
        Intent(
            "recipe",
            lines("""
                {}怎么做
                {}的做法
                {}配料
                自制{}
            """),
            lines("""
                {}的家常做法
                在家轻松做{}
                {}：食材与步骤
                手把手教你做{}
                {}菜谱大全
            """),
        ),
        Intent(
            "nutrition",
            lines("""
                {}热量
                {}健康吗
                {}营养成分
            """),
            lines("""
                {}的卡路里是多少
                {}营养成分表
                吃{}会胖吗
                {}：脂肪、维生素与能量
            """),
        ),
        Intent(
            "storage",
            lines("""
                {}能放多久
                {}怎么保存
                {}可以冷冻吗
            """),
            lines("""
                {}的保存方法与期限
                冰箱里{}能放几天
                {}能不能冷冻
                {}保质期一览
            """),
        ),
    ),
    labels=("picture", "puzzle", "song", "translation"),
    query_layouts=lines("""
        {after}{before}{0}
        {0} {before} {after}
    """),
    title_layouts=lines("""
        {after}{before}{0}
        {before}{0} {after}
    """),
    tails=lines("""
        （附图）
        ，外婆的味道
        （视频）
        ，五星好评
        ，读者最爱
    """),
)
