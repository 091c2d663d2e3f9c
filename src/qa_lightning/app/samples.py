"""Examples to begin with: documents and questions in Portuguese and in English."""

from typing import Final, NamedTuple


class Sample(NamedTuple):
    """Hold a document and a question.

    Attributes:
        language: ISO code of both.
        title: name of the document.
        text: the document.
        question: what is asked.
    """

    language: str
    title: str
    text: str
    question: str


# The first is of the kind that the demo's model has learned.
SAMPLES: Final = (
    Sample(
        "pt",
        "Obras e empresas",
        "A inauguração do Teatro Ribrigo ocorreu em 9 de dezembro de 1951. O Teatro Ribrigo está "
        "no centro de São Venâncio. Coube a Eva Delgim desenhar o Teatro Ribrigo.\n"
        "A Companhia Fintivo foi fundada por Rafael Quintenha. O forte da Companhia Fintivo são "
        "tratores. A Companhia Fintivo abriu as portas em 1921. A Companhia Fintivo está "
        "instalada em Corvalva.\n"
        "O Mercado Godinho foi inaugurado em 22 de março de 1981. O projeto do Mercado Godinho é "
        "de Lourenço Albido. O Mercado Godinho ergue-se a 30 metros do chão.\n"
        "A sede do Armazém Lactira fica em Tornoso. O Armazém Lactira fabrica vidros.\n"
        "A Ponte Jarmeiral recebeu o primeiro visitante em 15 de dezembro de 1930. A Ponte "
        "Jarmeiral tem 71 metros de altura. A Ponte Jarmeiral foi projetada por Marcos Tavira.",
        "Quem fundou a Companhia Fintivo?",
    ),
    Sample(
        "pt",
        "O farol da ilha",
        "O farol da Ilha Grande da Pedra foi aceso pela primeira vez em 31 de julho de 1831. A "
        "torre quadrada, de pedra, tem 26 metros de altura e fica a cerca de dez quilômetros da "
        "entrada da baía.\n"
        "A luz, que antes queimava óleo de peixe, passou a ser elétrica em 1909. Desde então um "
        "gerador a diesel fica numa casa ao lado da torre, onde moram dois faroleiros.\n"
        "Em noites claras a luz é vista a 51 milhas. Nos dias de nevoeiro soava um sino de "
        "bronze, fundido em Lisboa, que hoje está guardado no museu.",
        "Quando o farol passou a ser elétrico?",
    ),
    Sample(
        "en",
        "The observatory",
        "The observatory on Mount Arden opened on 4 May 1887. Its first director, Clara "
        "Whitcombe, had ordered a refracting telescope of 60 centimetres from a workshop in "
        "Dublin.\n"
        "The dome turns on 24 iron wheels and was moved by hand until 1931, when an electric "
        "motor of two kilowatts took over. The motor is still in use.\n"
        "In the winter of 1904 the assistant Henry Bell found a comet that now bears his name. It "
        "returns every 74 years.",
        "Who was the first director of the observatory?",
    ),
    Sample(
        "en",
        "Library rules",
        "Members may borrow up to twelve books for four weeks. A loan is renewed twice, unless "
        "another member has asked for the book.\n"
        "Late books cost 20 cents a day and at most 8 euros each. Lost books are replaced by the "
        "member, or paid for at the price of a new copy.\n"
        "The reading room is open from Tuesday to Saturday, from 10 to 19 o'clock. Food is not "
        "allowed; water in closed bottles is.",
        "How many books may members borrow?",
    ),
)
