"""Conversations to text, as a tokenizer's chat template writes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sfal.collect.corpus.document import Conversation
from sfal.errors import InvalidInputError, MissingDependencyError

_TODAY = datetime(2024, 7, 26)
"""The date that templates see: results must not depend on the day. It is Llama 3's default."""
_FIXED_DATE = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f" | replace('%{code}', '{_TODAY:%{code}}')" for code in "aAbBdeHIjmMpSyY")
    + " }}{%- endmacro -%}"
)
"""What is put in front of a template to replace transformers' clock."""


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a tokenizer."""

    inner: Any
    """The transformers tokenizer."""
    name: str
    """Name of the model it belongs to, for messages."""

    @classmethod
    def of(cls, inner: Any, name: str) -> Self | None:
        """Return the template of a tokenizer, None if it has none."""
        return cls(inner, name) if getattr(inner, "chat_template", None) else None

    def render(self, conversation: Conversation) -> str:
        """Return a conversation as a text, special tokens spelled out.

        Raises
        ------
        InvalidInputError
            If the template refuses it, for example because of a role that it does
            not know; the message names the document and gives the reason.
        """
        try:
            template = self.inner.get_chat_template()
            dated = "strftime_now" in template
            text = self.inner.apply_chat_template(
                [dict(message) for message in conversation.messages],
                tokenize=False,
                chat_template=_FIXED_DATE + template if dated else template,
            )
        except ImportError as e:
            raise MissingDependencyError(
                f"the chat template of {self.name} needs jinja2", hint="install jinja2"
            ) from e
        except Exception as e:  # templates are programs, and raise whatever they like
            reason = " ".join(str(e).split()) or type(e).__name__
            raise InvalidInputError(
                f"{conversation.where}: the chat template of {self.name} refuses the "
                f"conversation ({reason[:200]})",
                hint="set $chat_template(none) to join its contents by line breaks, or remove the "
                "document",
            ) from e
        return str(text)
