"""Dishes and drinks to make, count and keep."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

RECIPES = Domain(
    name="recipes",
    categories=(
        Category(
            "soups",
            terms("""
                tomato soup = cream of tomato; chicken soup = chicken broth; lentil soup = dal;
                *gazpacho = chilled vegetable soup; *minestrone = Italian bean soup; *borscht = beetroot soup
            """),
            ("diet", "appliance", "guests"),
        ),
        Category(
            "cakes",
            terms("""
                chocolate cake = cocoa gateau; carrot cake = carrot loaf; apple pie = apple tart;
                *cheesecake = cream cheese tart; *brownies = fudge squares; *cupcakes = fairy cakes
            """),
            ("diet", "pace", "guests"),
        ),
        Category(
            "breads",
            terms("""
                garlic bread = garlic baguette; banana bread = banana loaf; rye bread = *pumpernickel;
                pancakes = *flapjacks; *focaccia = Italian flatbread; *naan = Indian flatbread
            """),
            ("diet", "pace", "appliance"),
        ),
        Category(
            "main dishes",
            terms("""
                fried rice = wok rice; pasta sauce = spaghetti sauce; beef stew = *goulash; *meatballs = *kofta;
                *lasagna = pasta bake; *paella = Spanish rice
            """),
            ("diet", "appliance", "guests"),
        ),
        Category(
            "drinks",
            terms("""
                hot chocolate = drinking cocoa; iced coffee = cold brew; iced tea = chilled tea;
                *lemonade = lemon drink; *smoothie = fruit shake; *kombucha = fermented tea
            """),
            ("diet", "pace", "guests"),
        ),
        Category(
            "salads",
            terms("""
                potato salad; pasta salad = macaroni salad; fruit salad = mixed fruit bowl;
                *coleslaw = cabbage slaw; *hummus = chickpea dip; *guacamole = avocado dip
            """),
            ("diet", "pace", "guests"),
        ),
    ),
    kinds=(
        Kind(
            "diet",
            "before",
            terms("""
                vegan = plant-based; gluten-free = wheat-free; sugar-free = unsweetened; low-fat = light;
                dairy-free = lactose-free; spicy = fiery
            """),
        ),
        Kind("pace", "before", terms("quick = speedy; overnight = make-ahead; easy = simple; traditional = classic")),
        Kind(
            "appliance",
            "after",
            terms("""
                in a slow cooker = in a crock pot; in the microwave = microwaved; in an air fryer = air-fried;
                in the oven = oven-baked; on the grill = barbecued
            """),
        ),
        Kind(
            "guests",
            "after",
            terms("""
                for two = for couples; for a crowd = for large groups; for toddlers = for little ones;
                for Christmas = for the holidays; for picnics = for eating outdoors
            """),
        ),
    ),
    intents=(
        Intent(
            "recipe",
            lines("""
                {} recipe
                how to make {}
                homemade {}
            """),
            lines("""
                {} Recipe
                How to Make {}
                {}: Ingredients and Method
            """),
        ),
        Intent(
            "nutrition",
            lines("""
                {} calories
                {} nutrition
                how healthy is {}
            """),
            lines("""
                Calories in {}
                {}: Nutrition Facts
                {}: Vitamins, Fat and Energy
            """),
        ),
        Intent(
            "storage",
            lines("""
                how long does {} keep
                freezing {}
                storing {}
            """),
            lines("""
                How Long {} Keeps
                Storing and Freezing {}
                {}: Shelf Life
            """),
        ),
    ),
    labels=("picture", "puzzle", "song", "translation"),
    query_layouts=lines("{before} {0} {after}"),
    title_layouts=lines("{before} {0} {after}"),
    tails=lines("""
        (with Photos)
        , Grandma's Way
        – Video
        , 5 Stars
        – Reader Favourite
    """),
)
