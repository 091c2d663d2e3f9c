"""What the page says, in English and in Portuguese."""

from html import escape
from typing import Final

LANGUAGES: Final = {"English": "en", "Português": "pt"}

_ENGLISH: Final = {
    "lang": "en",
    "title": "Ask your documents",
    "about": "Answers word for word, with their place. Model: {name}. Nothing leaves this machine.",
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
    "begin": "Open a document, or take an example, then ask. The answers are marked in the text, "
    "and what you correct is kept, so that the model can learn from it.",
    "drop": "Drop files here, or click",
    "wait": "One moment …",
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
    "blank_pages": "no text on page {pages} (pictures?)",
    "one_document": "Select words of one document: an answer stands in one.",
    "long_question": "A question may have {most} characters; this one has more.",
    "not_kept": "The correction could not be kept in {file}; the terminal tells why.",
    # Why a file cannot be opened: the reasons of ``documents.refusals``.
    "doc_absent": "{name} is not there any more. Upload it again.",
    "doc_no_file": "{name} is no file.",
    "doc_unreadable": "{name} could not be read. Upload it again.",
    "doc_too_large": "{name} is too large ({found:,} MB; at most {most:,} MB). Cut it into parts.",
    "doc_too_much": "{name} holds more than any document does. Cut it into parts.",
    "doc_too_deep": "{name} nests deeper than any page. Save it anew in a browser.",
    "doc_no_text": "{name} holds no text.",
    "doc_picture": "{name} is a picture ({kind}). Recognise its text first (OCR), for instance "
    "with `ocrmypdf`, and open the PDF.",
    "doc_scan": "{name} has no text on any page: they are pictures, such as scans. Recognise their "
    "text first (OCR), for instance with `ocrmypdf`.",
    "doc_locked": "{name} is encrypted. Type its password.",
    "doc_wrong_password": "That is not the password of {name}.",
    "doc_damaged_pdf": "{name} is a damaged PDF, or none. Open and save it in another program.",
    "doc_damaged_word": "{name} is a damaged Word file. Open and save it in Word or LibreOffice.",
    "doc_old_word": "{name} is of Word 97 to 2003 (.doc), or has a password. Save it as DOCX "
    "without a password.",
    "doc_no_word": "{name} is no Word file, or was cut off.",
    "doc_other_kind": "{name} is of a kind that is not read here. Save it as DOCX or PDF, for "
    "instance in LibreOffice.",
    "doc_archive": "{name} is an archive ({kind}). Unpack it and open the documents in it.",
    "doc_encoding": "{name} is damaged, or a text in no encoding that is known. Save it as UTF-8.",
    "doc_package": "This program lacks what reads {kind}: pip install 'qa-lightning[documents]'",
    # What Gradio itself says in a corner, in English.
    "gradio": "The upload failed (files may have 200 MB), or the connection was lost. Try again, "
    "or load the page again.",
    "left": "This page was left too long, or the program began anew. Load the page again.",
    "failed": "Something went wrong on our side; the terminal tells more.",
}
_PORTUGUESE: Final = {
    "lang": "pt",
    "title": "Pergunte aos seus documentos",
    "about": "Respostas palavra por palavra, com o lugar. Modelo: {name}. Nada sai desta máquina.",
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
    "begin": "Abra um documento, ou tome um exemplo, e pergunte. As respostas são marcadas no "
    "texto, e o que você corrige fica guardado, para que o modelo aprenda.",
    "drop": "Solte arquivos aqui, ou clique",
    "wait": "Um momento …",
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
    "blank_pages": "sem texto na página {pages} (imagens?)",
    "one_document": "Selecione palavras de um só documento: uma resposta fica em um.",
    "long_question": "Uma pergunta pode ter {most} caracteres; esta tem mais.",
    "not_kept": "A correção não pôde ser guardada em {file}; o terminal diz por quê.",
    "doc_absent": "{name} já não está aqui. Envie-o de novo.",
    "doc_no_file": "{name} não é um arquivo.",
    "doc_unreadable": "{name} não pôde ser lido. Envie-o de novo.",
    "doc_too_large": "{name} é grande demais ({found:,} MB; no máximo {most:,} MB). Divida-o em "
    "partes.",
    "doc_too_much": "{name} tem mais do que um documento tem. Divida-o em partes.",
    "doc_too_deep": "{name} tem mais níveis do que uma página tem. Salve-o de novo num navegador.",
    "doc_no_text": "{name} não tem texto.",
    "doc_picture": "{name} é uma imagem ({kind}). Reconheça primeiro o texto (OCR), por exemplo "
    "com `ocrmypdf`, e abra o PDF.",
    "doc_scan": "{name} não tem texto em página nenhuma: são imagens, como as de um scanner. "
    "Reconheça primeiro o texto (OCR), por exemplo com `ocrmypdf`.",
    "doc_locked": "{name} está protegido. Escreva a senha.",
    "doc_wrong_password": "Essa não é a senha de {name}.",
    "doc_damaged_pdf": "{name} é um PDF danificado, ou não é PDF. Abra e salve em outro programa.",
    "doc_damaged_word": "{name} está danificado. Abra e salve no Word ou no LibreOffice.",
    "doc_old_word": "{name} é do Word 97 a 2003 (.doc), ou tem senha. Salve como DOCX sem senha.",
    "doc_no_word": "{name} não é um arquivo do Word, ou foi cortado.",
    "doc_other_kind": "{name} é de um tipo que não se lê aqui. Salve como DOCX ou PDF, por exemplo "
    "no LibreOffice.",
    "doc_archive": "{name} é um arquivo compactado ({kind}). Descompacte e abra os documentos.",
    "doc_encoding": "{name} está danificado, ou é texto numa codificação desconhecida. Salve como "
    "UTF-8.",
    "doc_package": "Falta neste programa o que lê {kind}: pip install 'qa-lightning[documents]'",
    "gradio": "O envio falhou (arquivos podem ter 200 MB), ou a conexão caiu. Tente de novo, ou "
    "recarregue a página.",
    "left": "Esta página ficou parada tempo demais, ou o programa recomeçou. Carregue-a de novo.",
    "failed": "Algo deu errado do nosso lado; o terminal diz mais.",
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
