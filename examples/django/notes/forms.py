from django import forms
from django.core.exceptions import ValidationError

from .models import Note

MAX_ATTACHMENT = 64 << 20


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["title", "text", "attachment"]
        widgets = {"text": forms.Textarea(attrs={"rows": 2})}

    def clean_attachment(self):
        attachment = self.cleaned_data["attachment"]
        if attachment and attachment.size > MAX_ATTACHMENT:
            raise ValidationError("At most 64 MiB.")
        return attachment
