"""An application of Django."""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

import behaviours

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="of no use", ALLOWED_HOSTS=["*"])
django.setup()
behaviour = behaviours.make()
behaviours.run_ticks(behaviour)


def handle(_request, kind):
    return HttpResponse(behaviour.answer(kind))


urlpatterns = [path("<str:kind>", handle)]
app = get_wsgi_application()
