from django.db import models


class Student(models.Model):
    name = models.CharField(max_length=200)
    department = models.CharField(max_length=100)
    cgpa = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "django_site"
        db_table = "students"
        ordering = ("id",)
