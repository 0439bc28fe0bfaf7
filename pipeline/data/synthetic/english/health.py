"""Complaints, and what to do about them."""

from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, lines, terms

ALL = ("patient", "time", "degree")

HEALTH = Domain(
    name="health",
    categories=(
        Category(
            "digestion",
            terms("""
                *heartburn = acid reflux; stomach flu = *gastroenteritis; stomach ulcer = gastric sore;
                *constipation = sluggish bowels; *diarrhea = loose stools; nausea = *queasiness
            """),
            ALL,
        ),
        Category(
            "skin",
            terms("""
                *hives = *urticaria; *eczema = atopic *dermatitis; *acne = *pimples; heat rash = prickly heat;
                dry skin = flaky skin; *dandruff = scalp flakes
            """),
            ALL,
        ),
        Category(
            "muscles and joints",
            terms("""
                back pain = *lumbago; neck pain = stiff neck; knee pain = sore knees; leg cramps = charley horse;
                *sciatica = pinched leg nerve; *tendinitis = inflamed tendon
            """),
            ALL,
        ),
        Category(
            "airways",
            terms("""
                sore throat = *pharyngitis; hay fever = pollen allergy; blocked nose = nasal congestion;
                *bronchitis = chest cold; *sinusitis = sinus infection; flu = influenza
            """),
            ALL,
        ),
        Category(
            "sleep and nerves",
            terms("""
                *insomnia = *sleeplessness; headache = head pain; *dizziness = vertigo; anxiety = *nervousness;
                *tinnitus = ringing ears; *tiredness = fatigue
            """),
            ALL,
        ),
        Category(
            "injuries",
            terms("""
                sprained ankle = twisted ankle; broken toe = toe fracture; concussion = blow to the head;
                *sunburn = burnt skin; *blisters = foot sores; bruises = black and blue marks
            """),
            ALL,
        ),
    ),
    kinds=(
        Kind("degree", "before", terms("mild = slight; severe = intense; chronic = long-term; sudden = acute")),
        Kind(
            "patient",
            "after",
            terms("""
                in children = in kids; in babies = in infants; in teenagers = in adolescents;
                in older adults = in seniors; in pregnancy = while expecting; in dogs = in canines
            """),
        ),
        Kind(
            "time",
            "after",
            terms("""
                at night = after dark; after eating = after meals; in winter = in cold weather;
                after surgery = post-operation; after exercise = following a workout; on holiday = while travelling
            """),
        ),
    ),
    intents=(
        Intent(
            "treatment",
            lines("""
                {} treatment
                how to treat {}
                {} remedies
            """),
            lines("""
                {}: Treatment
                Home Remedies for {}
                What Helps With {}
            """),
        ),
        Intent(
            "causes",
            lines("""
                {} causes
                what causes {}
                reasons for {}
            """),
            lines("""
                What Causes {}
                {}: Reasons and Causes
                {}: Triggers and Risk Factors
            """),
        ),
        Intent(
            "signs",
            lines("""
                {} symptoms
                signs of {}
                how to recognise {}
            """),
            lines("""
                Symptoms of {}
                {}: Signs to Watch For
                {}: What It Feels Like
            """),
        ),
    ),
    labels=("picture", "puzzle", "translation"),
    query_layouts=lines("{before} {0} {after}"),
    title_layouts=lines("{before} {0} {after}"),
    tails=lines("""
        – Doctor's Advice
        , Explained
        – Q&A
        , Medically Reviewed
        – Fact Sheet
    """),
)
