"""`manage.py routes`."""

from tests.project.commands.conftest import Manage


class TestRoutes:
    def test_lists_method_path_handler_and_operation(self, manage: Manage) -> None:
        result = manage("routes")
        assert result.exit_code == 0
        headings, *lines = [line.split("\t") for line in result.stdout.splitlines()]
        assert headings == ["method", "path", "handler", "operation"]
        assert ["GET", "/students", "list", "listStudents"] in lines
        assert ["DELETE", "/students/{student_id}", "delete", "deleteStudent"] in lines
        assert ["GET", "/health/ready"] in [line[:2] for line in lines]
        assert not any(line[0] == "OPTIONS" for line in lines)

    def test_needs_no_database(self, manage: Manage) -> None:
        result = manage("routes", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
        assert result.exit_code == 0
        assert "/students" in result.stdout
