"""A trained reader as a service: ``POST /predict`` on LitServe, Lightning's own server.

``schemas`` says what is asked and answered, ``reading`` is the reader's side (a process of its own,
which joins the questions of all waiting requests), ``gate`` what every request passes first (key,
size, time, queue, metrics, a line in the log), ``serving`` puts them together. The extra ``serve``
brings LitServe and Prometheus' client.
"""

from qa_lightning.service.limits import Limits
from qa_lightning.service.serving import KEY_VARIABLE, make_server, serve

__all__ = ["KEY_VARIABLE", "Limits", "make_server", "serve"]
