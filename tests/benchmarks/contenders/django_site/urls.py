from django.urls import include, path

from .ninja_api import api
from .rest import router

urlpatterns = [path("django-rest/", include(router.urls)), path("django-ninja/", api.urls)]
