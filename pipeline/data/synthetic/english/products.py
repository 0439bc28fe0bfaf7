"""Things to buy."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("colour", "feature", "audience")

PRODUCTS = Domain(
    name="products",
    categories=(
        Category(
            "footwear",
            terms("""
                sneakers = trainers; hiking boots = trekking boots; rain boots = *wellingtons;
                *slippers = house shoes; *loafers = *moccasins; *flip-flops = thong sandals
            """),
            ALL,
        ),
        Category(
            "bags",
            terms("""
                backpack = *rucksack; suitcase = luggage; *handbag = purse; laptop bag = computer case;
                gym bag = sports bag; *satchel = messenger bag
            """),
            ALL,
        ),
        Category(
            "kitchenware",
            terms("""
                kettle = water boiler; frying pan = *skillet; coffee maker = espresso machine;
                rice cooker = rice steamer; *colander = *strainer; *spatula = pancake turner
            """),
            ("colour", "feature"),
        ),
        Category(
            "furniture",
            terms("""
                sofa = couch; armchair = easy chair; coffee table = lounge table; dining table = dinner table;
                wardrobe = closet; *bookcase = *bookshelf
            """),
            ("colour", "feature"),
        ),
        Category(
            "electronics",
            terms("""
                *headphones = *headset; laptop = notebook computer; phone charger = mobile power adapter;
                phone case = mobile cover; desk lamp = reading light; *earbuds = *earphones
            """),
            ALL,
        ),
        Category(
            "outdoor gear",
            terms("""
                tent = camping shelter; sleeping bag = camp bedding; umbrella = *parasol; canoe = paddle boat;
                bike helmet = cycling helmet; *hammock = hanging bed
            """),
            ALL,
        ),
    ),
    kinds=(
        Kind(
            "colour",
            "before",
            terms("red = crimson; blue = navy; green = olive; black = ebony; white = ivory; purple = violet"),
        ),
        Kind(
            "feature",
            "before",
            terms("""
                waterproof = rainproof; foldable = collapsible; lightweight = ultralight; used = second-hand;
                cheap = low-cost; handmade = hand-crafted
            """),
        ),
        Kind(
            "audience",
            "after",
            terms("""
                for kids = for children; for women = for ladies; for men = for gentlemen;
                for seniors = for the elderly; for students = for college; for travel = for trips
            """),
        ),
    ),
    intents=(
        Intent(
            "buy",
            lines("""
                buy {}
                {} price
                {} for sale
            """),
            lines("""
                Buy {} Online
                {}: Prices and Offers
                {} – Free Delivery
            """),
        ),
        Intent(
            "review",
            lines("""
                {} reviews
                {} test
                {} comparison
            """),
            lines("""
                {} Reviews From Real Buyers
                {}: Tested and Compared
                Our Verdict on {}
            """),
        ),
        Intent(
            "cleaning",
            lines("""
                how to clean {}
                washing {}
                {} cleaning tips
            """),
            lines("""
                How to Clean {}
                Washing {} the Right Way
                {}: Removing Stains
            """),
        ),
    ),
    labels=("picture", "puzzle", "song"),
    query_layouts=lines("{before} {0} {after}"),
    title_layouts=lines("{before} {0} {after}"),
    tails=lines("""
        , New Arrivals
        , Page 2
        (with Photos)
        , Updated Weekly
        – 12 Models
    """),
)
