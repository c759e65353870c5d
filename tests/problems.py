"""What every refused request is answered with."""

from urllib.parse import quote

from httpx import Response

from project.problems import KINDS


def refused(response: Response, status: int, slug: str) -> dict[str, str]:
    """Checks the form that all problems share, and gives the details of the named errors by pointer."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    errors = problem.pop("errors", [])
    detail = problem.pop("detail")
    assert problem == {
        "type": f"/problems/{slug}",
        "title": KINDS[slug].title,
        "status": status,
        "instance": quote(response.request.url.path, safe="/:@"),
    }
    for sentence in (detail, *(error["detail"] for error in errors)):
        assert sentence
        assert not any(word in sentence for word in ("Traceback", "SELECT", "INSERT", ".py", "`str`", "`float`"))
    assert all(error.keys() == {"pointer", "detail"} for error in errors)
    named = {error["pointer"]: error["detail"] for error in errors}
    assert len(named) == len(errors), "one value was named twice"
    return named
