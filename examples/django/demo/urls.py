from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.static import serve

from notes import views

urlpatterns = [
    path("", views.index, name="index"),
    path("notes/<int:pk>/attachment", views.attachment, name="attachment"),
    path("admin/", admin.site.urls),
    # So that the demo needs no web server, and no package, for static files.
    path("static/<path:path>", serve, {"document_root": settings.STATIC_ROOT}),
]
