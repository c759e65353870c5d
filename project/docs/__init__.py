"""The pages for people who build on the API: Swagger UI, and what each kind of problem means. All works offline."""
