"""Journeys, where the order of the two places decides."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("mode", "service")

ROUTES = Domain(
    name="routes",
    categories=(
        Category(
            "Italy",
            terms("""
                Rome = Roma; Venice = Venezia; Florence = Firenze; Milan = Milano; Naples = Napoli; Turin = Torino
            """),
            ALL,
        ),
        Category(
            "Iberia", terms("Lisbon = Lisboa; Seville = Sevilla; Porto = Oporto; Madrid; Barcelona; Valencia"), ALL
        ),
        Category(
            "Central Europe",
            terms("Vienna = Wien; Prague = Praha; Munich = München; Cologne = Köln; Berlin; Nuremberg = Nürnberg"),
            ALL,
        ),
        Category(
            "Low Countries",
            terms("""
                Brussels = Bruxelles; Antwerp = Antwerpen; Ghent = Gent; Bruges = Brugge; Amsterdam;
                The Hague = Den Haag
            """),
            ALL,
        ),
        Category(
            "Alps",
            terms("Geneva = Genève; Zurich = Zürich; Basel = Basle; Bern = Berne; Lucerne = Luzern; Innsbruck"),
            ALL,
        ),
        Category(
            "Poland",
            terms("Warsaw = Warszawa; Krakow = Cracow; Gdansk = Danzig; Wroclaw = Breslau; Poznan = Posen; Katowice"),
            ALL,
        ),
    ),
    kinds=(
        Kind("mode", "before", terms("train = rail; bus = coach; flight = plane; car = driving; bike = cycling")),
        Kind(
            "service",
            "after",
            terms("""
                overnight = late at night; direct = without changes; with a dog = with pets;
                first class = premium seats; with kids = with children; at weekends = on Sundays
            """),
        ),
    ),
    intents=(
        Intent(
            "tickets",
            lines("""
                {} tickets
                {} fares
                book {}
            """),
            lines("""
                {}: Tickets and Fares
                Book {}
                {}: Seats to Reserve
            """),
        ),
        Intent(
            "timetable",
            lines("""
                {} timetable
                {} departures
                {} schedule
            """),
            lines("""
                {}: Timetable
                {}: Schedule of Departures
                {}: When to Leave
            """),
        ),
        Intent(
            "duration",
            lines("""
                {} travel time
                {} how long
                {} duration
            """),
            lines("""
                {}: Travel Time
                {}: How Long It Takes
                {}: Hours Needed
            """),
        ),
    ),
    labels=("song", "translation"),
    query_layouts=lines("""
        {before} from {0} to {1} {after}
        {before} {0} to {1} {after}
    """),
    title_layouts=lines("""
        {before} from {0} to {1} {after}
        {before} from {0} to {1} {after}
        {before} {0} to {1} {after}
        {before} {0} to {1} {after}
        {before} to {1} from {0} {after}
    """),
    tails=lines("""
        – Live Updates
        , Updated Daily
        – Travel Planner
        , Map
        – Traveller Tips
    """),
    arity=2,
)
