"""What the page says, in English and in Portuguese."""

from html import escape
from typing import Final

LANGUAGES: Final = {"English": "en", "Português": "pt"}

_ENGLISH: Final = {
    "title": "Ask your documents",
    "about": "Answers word for word, with their place. Model: {name}. Nothing leaves this machine.",
    "language": "Language",
    "file": "Files",
    "paste": "Paste a text",
    "files": "PDF, Word, HTML, Markdown or text",
    "text": "Text of a document",
    "add": "Open the text",
    "pasted": "pasted text",
    "samples": "Examples",
    "password": "Password of {name}",
    "unlock": "Unlock",
    "question": "Question",
    "placeholder": "Who founded the company?",
    "ask": "Ask",
    # What reader.js says.
    "page": "page",
    "paragraph": "paragraph",
    "heading": "heading",
    "row": "row",
    "line": "line",
    "no_answer": "No answer",
    "would_be": "The nearest would have been:",
    "right": "✓ right",
    "none_here": "No answer here",
    "close": "Close",
    "history": "Asked before",
    "csv": "Download CSV",
    "json": "Download JSON",
    "correct_hint": "Wrong? Select the right words in the document (arrow keys go from word to "
    "word, Shift takes in more), or say that there is no answer in it.",
    "this_is_it": "This is the answer",
    # What a visitor is told.
    "saved": "Saved as the right answer: “{text}”. {file} holds {count}.",
    "saved_none": "Saved: {name} does not answer it. {file} holds {count}.",
    "no_question": "Type a question first.",
    "no_document": "Open a document first: a file, or a text.",
    "no_text": "There is no text to open.",
    "nothing_asked": "Ask a question first; then its answer can be corrected.",
    "nothing_selected": "Select the words of the answer first.",
    "too_many": "At most {most} documents stand side by side. Close one first.",
    "too_long": "{name} is longer than {most} characters, more than a page shows well. Use "
    "`qa-lightning answer --document`.",
    "locked": "{name} is encrypted. Type its password.",
    "wrong_password": "That is not the password of {name}.",
    "not_read": "{name} cannot be opened. {reason}",
    "not_done": "That could not be done. {reason}",
    "left": "This page was left too long, or the program began anew. Load the page again.",
    "failed": "Something went wrong on our side; the terminal tells more.",
    "error": "Error",
}
_PORTUGUESE: Final = {
    "title": "Pergunte aos seus documentos",
    "about": "Respostas palavra por palavra, com o lugar. Modelo: {name}. Nada sai desta máquina.",
    "language": "Idioma",
    "file": "Arquivos",
    "paste": "Colar um texto",
    "files": "PDF, Word, HTML, Markdown ou texto",
    "text": "Texto de um documento",
    "add": "Abrir o texto",
    "pasted": "texto colado",
    "samples": "Exemplos",
    "password": "Senha de {name}",
    "unlock": "Desbloquear",
    "question": "Pergunta",
    "placeholder": "Quem fundou a empresa?",
    "ask": "Perguntar",
    "page": "página",
    "paragraph": "parágrafo",
    "heading": "título",
    "row": "linha da tabela",
    "line": "linha",
    "no_answer": "Sem resposta",
    "would_be": "A mais próxima teria sido:",
    "right": "✓ certa",
    "none_here": "Sem resposta aqui",
    "close": "Fechar",
    "history": "Perguntas anteriores",
    "csv": "Baixar CSV",
    "json": "Baixar JSON",
    "correct_hint": "Errada? Selecione as palavras certas no documento (as setas vão de palavra em "
    "palavra, com Shift abrangem mais), ou diga que não há resposta nele.",
    "this_is_it": "Esta é a resposta",
    "saved": "Guardada como a resposta certa: “{text}”. {file} tem {count}.",
    "saved_none": "Guardado: {name} não responde. {file} tem {count}.",
    "no_question": "Escreva primeiro uma pergunta.",
    "no_document": "Abra primeiro um documento: um arquivo ou um texto.",
    "no_text": "Não há texto para abrir.",
    "nothing_asked": "Faça primeiro uma pergunta; depois a resposta pode ser corrigida.",
    "nothing_selected": "Selecione primeiro as palavras da resposta.",
    "too_many": "No máximo {most} documentos ficam lado a lado. Feche um primeiro.",
    "too_long": "{name} tem mais de {most} caracteres, mais do que uma página mostra bem. Use "
    "`qa-lightning answer --document`.",
    "locked": "{name} está protegido. Escreva a senha.",
    "wrong_password": "Essa não é a senha de {name}.",
    "not_read": "{name} não pode ser aberto. {reason}",
    "not_done": "Não foi possível. {reason}",
    "left": "Esta página ficou parada tempo demais, ou o programa recomeçou. Carregue-a de novo.",
    "failed": "Algo deu errado do nosso lado; o terminal diz mais.",
    "error": "Erro",
}
WORDS: Final = {"en": _ENGLISH, "pt": _PORTUGUESE}


def preferred(accepted: str | None) -> str:
    """Return the language of a browser's ``Accept-Language``, as far as we speak it.

    >>> preferred("pt-BR,pt;q=0.9,en;q=0.8"), preferred("de, en;q=0.5"), preferred(None)
    ('pt', 'en', 'en')
    """
    for part in (accepted or "").split(","):
        language = part.strip()[:2].lower()
        if language in WORDS:
            return language
    return "en"


def told(language: str, sentence: str, *, is_fault: bool = False, **details: object) -> str:
    """Return a sentence as HTML that a screen reader reads at once; details are escaped."""
    text = WORDS[language][sentence].format(**details)
    kind = "qa-fault" if is_fault else "qa-done"
    return f'<p class="qa-told {kind}" role="status">{escape(text)}</p>'
