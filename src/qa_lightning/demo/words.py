"""The words of the generated documents, as plain lists; `grammar.split_of` shares most of them out.

Words marked *split* belong to exactly one of train, validation and test, so that no held-out
question is about a name or place that was seen in training; so do numbers. Words marked *shared*
(first names, professions, products, kinds of company, months; years too) occur everywhere, in new
pairs.
"""


def read_words(text: str) -> tuple[str, ...]:
    """Read words between blanks."""
    return tuple(text.split())


def read_table(text: str) -> tuple[tuple[str, ...], ...]:
    """Read entries between semicolons, with columns between slashes."""
    return tuple(tuple(cell.strip() for cell in entry.split("/")) for entry in text.split(";"))


def read_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read a table of two columns."""
    return tuple((first, second) for first, second in read_table(text))


def _gendered(*, m: str, f: str) -> tuple[tuple[str, str], ...]:
    return tuple((word, "m") for word in m.split()) + tuple((word, "f") for word in f.split())


# Shared.
FIRST_NAMES = _gendered(
    m="""
        Abel Afonso Álvaro Anselmo Artur Augusto Baltazar Benedito Bruno Caetano Camilo Celso
        Damião Davi Dinis Edgar Eduardo Elias Emílio Ernesto Estêvão Fábio Fernão Filipe Gaspar
        Gustavo Heitor Hugo Inácio Ivo Jacinto Joaquim João Jorge José Júlio Lauro Leandro
        Lourenço Lucas Marcos Mateus Miguel Nélson Norberto Otávio Paulo Pedro Rafael Raul
        Renato Rui Samuel Saulo Sérgio Teodoro Tiago Tomás Ubaldo Valter Vasco Vicente Xavier
    """,
    f="""
        Adelaide Alice Amélia Ana Anita Aurora Beatriz Bianca Branca Carlota Carolina Cecília
        Clara Dalila Débora Diana Dora Elisa Elvira Ester Eugênia Eva Fátima Flora Francisca
        Glória Graça Helena Hilda Inês Irene Isabel Ivone Joana Josefa Júlia Laura Leonor Lídia
        Lúcia Luísa Madalena Margarida Maria Marta Natália Noêmia Odete Olga Paula Raquel Rita
        Rosa Sara Silvana Sofia Sônia Teresa Úrsula Valéria Vera Virgínia Yolanda Zélia
    """,
)

# Split. Towns called after a saint.
SAINTS = _gendered(
    m="""
        Amâncio Bonifácio Calisto Cipriano Cosme Crispim Dâmaso Domingos Donato Efrém Eusébio
        Fabiano Félix Firmino Florêncio Frutuoso Gelásio Genésio Gonçalo Hilário Honorato
        Jerônimo Justino Ladislau Leopoldo Libório Luciano Malaquias Marçal Martinho Narciso
        Nicolau Pacífico Plácido Romualdo Sebastião Silvério Simplício Tarcísio Tibúrcio Torcato
        Urbano Venâncio Zacarias Zeferino
    """,
    f="""
        Apolônia Bárbara Brígida Catarina Clotilde Cristina Doroteia Edviges Emiliana Engrácia
        Escolástica Eulália Filomena Genoveva Gertrudes Iria Justa Ludovina Marcelina Mônica
        Petronila Quitéria Rosália Susana Tecla Veridiana Vitória Zita
    """,
)

# Split, as whole names: each is a head joined to a tail.
SURNAME_HEADS = read_words("""
    Abr Alb Alc Alm Alv Amar And Ant Arag Arr Azev Bac Bals Barb Barr Belm Bern Borg Brag Cal
    Cam Card Carn Cast Cord Cout Dam Delg Dorn Esc Esp Fag Far Fern Fig Fons Galv Garc God Gouv
    Guer Jorn Junqu Lac Lam Leit Lob Lour Mac Mag Mald Masc Med Melg Mend Mir Mont Mor Nab Nog
    Nor Oliv Orn Pach Pad Palh Par Per Pim Pinh Port Prad Quad Quint Ram Reb Rib Rod Sald Samp
    Sant Sar Seab Sequ Serr Silv Sobr Tav Teix Torr Trav Vald Varg Vasc Vel Vid Vil
""")
SURNAME_TAILS = read_words("""
    ais al anda anha ão aso ares ato eda eira eiro ejo elo endes enha eque es eto ido ilho im
    inho ino ira ondo oso ote ouro uda ura
""")
PLACE_HEADS = read_words("""
    Alm Arc Avel Balb Barr Berl Bord Cabr Cald Carr Cast Corv Curr Donh Erv Esp Fafi Ferr Fold
    Gald Gond Guard Jarm Lamp Lour Luz Malv Mirand Mont Murt Nerv Oliv Ourm Palm Penh Pinh Pord
    Quart Ramb Ribr Sard Serp Sobr Tabu Torn Trof Urm Vald Verd Vimi Vint Zamb
""")
PLACE_TAILS = read_words("""
    adas agal ais alva ancos aris arosa astro eda eiral elas elhos elim endo ense essa ida igo
    inhos iral iros oal olas osela oso otas udo uleu unde uja
""")
RIVER_HEADS = read_words("""
    Ama Api Ara Bacu Boi Cabi Cara Cati Gua Guari Iga Ipa Ita Jabo Jaca Jagua Jequi Juru Mara
    Mogi Moju Mucu Nhan Pacu Para Peru Pira Poti Sapu Sara Taba Tama Taqua Tibi Tuca Uru Voti
    Xapu Xing
""")
RIVER_TAILS = read_words("""
    caba canga cari coara guaçu guari jaí mirim moré nema peba poca puã quara raçu rema taba
    tinga tuba tuí una xaim
""")
BRAND_HEADS = read_words("""
    Alb Alv Ampl Bard Boss Brav Brun Calv Cint Corb Dalm Delt Drav Estr Falc Fint Flav Frig Garb
    Glob Harm Hort Ibr Jund Kard Lact Lanz Lumb Marv Merl Nord Novt Ond Optr Palt Plan Quint
    Ross Salm Serv Stel Tard Tecn Trit Ulm Urb Valt Vibr Xant Zarb
""")
BRAND_TAILS = read_words("""
    ado ago aldo ano aria eca edo ela emo ento eral eta ex ica ilo imo ina ira isa ivo oca olar
    oma onte oral osa otel ume ura uz
""")

# Shared.
PLACE_PREFIXES = ("Campo", "Monte", "Porto", "Vila")
COMPANY_TYPES = _gendered(
    m="Grupo Consórcio Armazém Estúdio", f="Companhia Fábrica Cooperativa Indústria Casa Sociedade"
)
WORK_TYPES = _gendered(
    m="Teatro Museu Palácio Mercado Farol Estádio",
    f="Ponte Torre Biblioteca Catedral Estação Capela",
)
MOUTHS = _gendered(m="golfo canal", f="baía lagoa enseada")
HEIGHTS = _gendered(m="planalto maciço", f="serra chapada")
MONTHS = read_words("""
    janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
""")

# Shared, the last column is English: machine translation leaves some answers untranslated.
PROFESSIONS = read_table("""
    médico / médica / doctor; advogado / advogada / lawyer; engenheiro / engenheira / engineer;
    enfermeiro / enfermeira / nurse; professor / professora / teacher;
    pintor / pintora / painter; escultor / escultora / sculptor; cantor / cantora / singer;
    ator / atriz / actor; poeta / poeta / poet; jornalista / jornalista / reporter;
    dentista / dentista / dentist; pianista / pianista / pianist;
    violinista / violinista / violinist; botânico / botânica / botanist;
    químico / química / chemist; físico / física / physicist; geógrafo / geógrafa / geographer;
    astrônomo / astrônoma / astronomer; arqueólogo / arqueóloga / archaeologist;
    fotógrafo / fotógrafa / photographer; tradutor / tradutora / translator;
    bibliotecário / bibliotecária / librarian; padeiro / padeira / baker;
    carpinteiro / carpinteira / carpenter; ferreiro / ferreira / blacksmith;
    relojoeiro / relojoeira / watchmaker; alfaiate / alfaiate / tailor;
    marinheiro / marinheira / sailor; pescador / pescadora / fisher;
    jardineiro / jardineira / gardener; cozinheiro / cozinheira / cook; juiz / juíza / judge;
    farmacêutico / farmacêutica / pharmacist; veterinário / veterinária / vet;
    agrônomo / agrônoma / agronomist; dançarino / dançarina / dancer;
    maestro / maestrina / conductor; historiador / historiadora / historian;
    piloto / pilota / pilot
""")
PRODUCTS = read_table("""
    guarda-chuvas / umbrellas; relógios / watches; sapatos / shoes; chapéus / hats;
    tapetes / carpets; móveis / furniture; bicicletas / bicycles; pneus / tyres;
    motores / engines; elevadores / lifts; lâmpadas / lamps; espelhos / mirrors;
    garrafas / bottles; vidros / glass; azulejos / tiles; tijolos / bricks; telhas / roof tiles;
    cordas / ropes; redes / nets; velas / candles; sabonetes / soaps; perfumes / perfume;
    tintas / paints; lápis / pencils; cadernos / notebooks; brinquedos / toys;
    violões / guitars; pianos / grand pianos; sinos / bells; panelas / pans; facas / knives;
    agulhas / needles; botões / buttons; tecidos / fabrics; cobertores / blankets;
    queijos / cheese; biscoitos / biscuits; doces / sweets; vinhos / wines; azeites / olive oil;
    remédios / medicines; óculos / glasses; barcos / boats; tratores / tractors;
    bombas de água / water pumps; máquinas de costura / sewing machines;
    instrumentos de sopro / wind instruments; papéis de parede / wallpaper;
    luvas de couro / leather gloves; fios de cobre / copper wire
""")

# Sentences that answer nothing but hold names, places and numbers of the kinds that answers are.
DISTRACTORS = (
    "Os jornais da época deram pouca atenção ao caso.",
    "Muitos papéis antigos perderam-se em {year}.",
    "As cartas guardadas em {place} confirmam esses dados.",
    "{person} escreveu sobre o tema em {year}.",
    "Restam {count} fotografias desse tempo.",
    "Uma exposição em {place} recordou esse passado.",
    "Há quem conte essa história de outra maneira.",
    "Um inquérito de {year} ouviu {count} moradores.",
    "Nem todas as fontes concordam sobre isso.",
    "Em {year} quase tudo mudou na região.",
)
