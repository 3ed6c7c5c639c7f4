from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render

from .forms import NoteForm
from .models import Note


def index(request):
    """The notes, and a form to add one."""
    form = NoteForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("index")
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"notes": Note.objects.all()[:20], "form": form, "visits": visits}
    return render(request, "notes/index.html", context)


def attachment(request, pk):
    """The file of a note, to download."""
    note = get_object_or_404(Note, pk=pk)
    if not note.attachment:
        raise Http404("This note has no attachment.")
    return FileResponse(note.attachment.open("rb"), as_attachment=True)
