"""What the documents tell: four kinds of entity, their attributes, three wordings of each.

In a wording ``{O}``, ``{o}``, ``{do}``, ``{no}``, ``{pelo}`` stand for the entity after its
article or preposition, ``{g}`` for its gender's ending, ``{x}`` for the answer, and ``{no_x}`` and
``{do_x}`` for a preposition with the answer's article before the answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Attribute:
    """Hold one thing that can be told and asked of an entity; equal to itself alone.

    Attributes:
        value: the kind of its answer, as `values.value_of` knows it.
        statements: sentences that hold the answer once.
        questions: questions that it answers.
    """

    value: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """Hold one kind of entity: its plural, for titles, and its attributes."""

    plural: str
    attributes: tuple[Attribute, ...]


PEOPLE = Kind("pessoas", (
    Attribute(
        "place",
        ("{O} nasceu em {x}.", "A terra natal {do} é {x}.", "{O} veio ao mundo em {x}."),
        ("Onde nasceu {o}?", "Em que cidade nasceu {o}?", "Qual é a terra natal {do}?"),
    ),
    Attribute(
        "date",
        ("{O} nasceu em {x}.", "O nascimento {do} data de {x}.", "{O} veio ao mundo em {x}."),
        ("Quando nasceu {o}?", "Em que dia nasceu {o}?", "Qual é a data de nascimento {do}?"),
    ),
    Attribute(
        "profession",
        ("{O} trabalhou como {x}.", "A profissão {do} era a de {x}.", "{O} fez carreira como {x}."),
        ("Qual era a profissão {do}?", "Em que trabalhava {o}?", "O que {o} fazia na vida?"),
    ),
    Attribute(
        "university",
        ("{O} formou-se na {x}.", "{O} estudou na {x}.", "Foi na {x} que {o} fez o curso."),
        ("Em que universidade estudou {o}?", "Onde se formou {o}?", "Onde {o} fez o curso?"),
    ),
    Attribute(
        "person",
        ("{O} casou-se com {x}.", "{x} foi o grande amor {do}.", "{O} viveu ao lado de {x}."),
        ("Com quem se casou {o}?", "Quem foi o grande amor {do}?", "Com quem viveu {o}?"),
    ),
    Attribute(
        "count",
        ("{O} deixou {x} cartas.", "Conhecem-se {x} cartas {do}.", "{O} escreveu {x} cartas."),
        ("Quantas cartas deixou {o}?", "Quantas cartas {do} se conhecem?",
         "Quantas cartas escreveu {o}?"),
    ),
))  # fmt: skip

COMPANIES = Kind("empresas", (
    Attribute(
        "person",
        ("{O} foi fundad{g} por {x}.", "{x} fundou {o}.", "Foi {x} quem criou {o}."),
        ("Quem fundou {o}?", "Por quem foi fundad{g} {o}?", "Quem criou {o}?"),
    ),
    Attribute(
        "year",
        ("{O} existe desde {x}.", "{O} abriu as portas em {x}.", "A fundação {do} data de {x}."),
        ("Em que ano abriu as portas {o}?", "Desde quando existe {o}?",
         "Qual é o ano de fundação {do}?"),
    ),
    Attribute(
        "place",
        ("{O} tem sede em {x}.", "A sede {do} fica em {x}.", "{O} está instalad{g} em {x}."),
        ("Onde fica a sede {do}?", "Em que cidade está instalad{g} {o}?",
         "Em que cidade tem sede {o}?"),
    ),
    Attribute(
        "product",
        ("{O} fabrica {x}.", "O forte {do} são {x}.", "{O} produz {x} há muito tempo."),
        ("O que fabrica {o}?", "O que produz {o}?", "Qual é o principal produto {do}?"),
    ),
    Attribute(
        "staff",
        ("{O} emprega {x} pessoas.", "O quadro {do} tem {x} funcionários.",
         "Trabalham {no} {x} pessoas."),
        ("Quantas pessoas emprega {o}?", "Quantos funcionários tem {o}?",
         "Quantas pessoas trabalham {no}?"),
    ),
    Attribute(
        "percent",
        ("{O} exporta {x} do que produz.", "Das vendas {do}, {x} vão para o exterior.",
         "Cerca de {x} da produção {do} segue para fora do país."),
        ("Que parte da produção exporta {o}?", "Quanto da produção {do} segue para fora do país?",
         "Que parte das vendas {do} vai para o exterior?"),
    ),
))  # fmt: skip

RIVERS = Kind("rios", (
    Attribute(
        "height",
        ("{O} nasce {no_x}.", "A nascente {do} fica {no_x}.", "As águas {do} vêm {do_x}."),
        ("Onde nasce {o}?", "Onde fica a nascente {do}?", "De onde vêm as águas {do}?"),
    ),
    Attribute(
        "mouth",
        ("{O} deságua {no_x}.", "A foz {do} fica {no_x}.", "{O} termina {no_x}."),
        ("Onde deságua {o}?", "Onde fica a foz {do}?", "Onde termina {o}?"),
    ),
    Attribute(
        "kilometres",
        ("{O} tem {x} de extensão.", "O curso {do} mede {x}.", "{O} percorre {x} até o fim."),
        ("Qual é a extensão {do}?", "Quanto mede o curso {do}?", "Que distância percorre {o}?"),
    ),
    Attribute(
        "place",
        ("{O} banha a cidade de {x}.", "A maior cidade às margens {do} é {x}.",
         "{O} passa pelo centro de {x}."),
        ("Que cidade é banhada {pelo}?", "Qual é a maior cidade às margens {do}?",
         "Por que cidade passa {o}?"),
    ),
    Attribute(
        "person",
        ("{O} foi mapeado por {x}.", "O mapa {do} é obra de {x}.",
         "Quem primeiro explorou o leito {do} foi {x}."),
        ("Quem mapeou {o}?", "De quem é o mapa {do}?", "Quem explorou primeiro o leito {do}?"),
    ),
))  # fmt: skip

WORKS = Kind("obras", (
    Attribute(
        "person",
        ("{O} foi projetad{g} por {x}.", "O projeto {do} é de {x}.", "Coube a {x} desenhar {o}."),
        ("Quem projetou {o}?", "Quem desenhou {o}?", "De quem é o projeto {do}?"),
    ),
    Attribute(
        "date",
        ("{O} foi inaugurad{g} em {x}.", "A inauguração {do} ocorreu em {x}.",
         "{O} recebeu o primeiro visitante em {x}."),
        ("Quando foi inaugurad{g} {o}?", "Em que dia ocorreu a inauguração {do}?",
         "Quando recebeu {o} o primeiro visitante?"),
    ),
    Attribute(
        "metres",
        ("{O} tem {x} de altura.", "A altura {do} é de {x}.", "{O} ergue-se a {x} do chão."),
        ("Qual é a altura {do}?", "Que altura tem {o}?", "A que altura se ergue {o}?"),
    ),
    Attribute(
        "money",
        ("{O} custou {x}.", "O custo {do} chegou a {x}.", "Gastaram-se {x} com {o}."),
        ("Quanto custou {o}?", "Qual foi o custo {do}?", "Quanto se gastou com {o}?"),
    ),
    Attribute(
        "place",
        ("{O} fica em {x}.", "{O} é o orgulho de {x}.", "{O} está no centro de {x}."),
        ("Onde fica {o}?", "Em que cidade está {o}?", "De que cidade {o} é o orgulho?"),
    ),
))  # fmt: skip
