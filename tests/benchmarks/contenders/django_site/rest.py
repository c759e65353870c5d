"""Django REST framework: a serializer, a viewset and a router."""

from rest_framework import routers, serializers, viewsets

from .models import Student


class StudentSerializer(serializers.ModelSerializer):
    class Meta:
        model = Student
        fields = ("id", "name", "department", "cgpa", "created_at", "updated_at")


class StudentViewSet(viewsets.ModelViewSet):
    queryset = Student.objects.all()
    serializer_class = StudentSerializer


router = routers.SimpleRouter(trailing_slash=False)
router.register("students", StudentViewSet)
