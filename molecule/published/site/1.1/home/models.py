"""The front page, with a text that editors write."""

from wagtail.fields import RichTextField
from wagtail.models import Page


class HomePage(Page):
    """The front page."""

    body = RichTextField(default="<p>Fresh from the oven.</p>")

    content_panels = [*Page.content_panels, "body"]
