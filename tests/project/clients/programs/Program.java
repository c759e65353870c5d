// What a user of a client by openapi-generator's java does: given the service's URL, a username and its
// password.

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import registrar.ApiClient;
import registrar.ApiException;
import registrar.ApiResponse;
import registrar.api.AuthApi;
import registrar.api.StudentsApi;
import registrar.model.FieldError;
import registrar.model.ImportReport;
import registrar.model.Problem;
import registrar.model.Student;
import registrar.model.StudentBatch;
import registrar.model.StudentCreate;
import registrar.model.StudentPage;
import registrar.model.StudentStatistics;
import registrar.model.StudentUpdate;
import registrar.model.TokenCreate;

public class Program {
    interface Call {
        Object run() throws ApiException;
    }

    static final ApiClient client = new ApiClient();

    static Problem refused(int status, Call call) throws Exception {
        try {
            call.run();
        } catch (ApiException error) {
            check(error.getCode() == status, "status " + error.getCode() + ": " + error.getResponseBody());
            return client.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
        }
        throw new AssertionError("nothing was refused");
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static StudentCreate student(String name, String department, double cgpa) {
        return new StudentCreate().name(name).department(department).cgpa(cgpa);
    }

    static List<Student> all(StudentsApi api) throws ApiException {
        List<Student> found = new ArrayList<>();
        String cursor = null;
        do {
            StudentPage page = api.listStudents(null, null, null, null, null, "-cgpa", 7, cursor, null);
            found.addAll(page.getItems());
            cursor = page.getNextCursor();
        } while (cursor != null);
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        client.updateBaseUri(arguments[0]);
        check(refused(401, () -> new StudentsApi(client).getStudentStatistics(null, null, null, null, null)).getStatus() == 401, "let in");

        // The first request of a connection asks for HTTP/2.
        TokenCreate who = new TokenCreate().username(arguments[1]).password(arguments[2]);
        String token = new AuthApi(client).createToken(who).getAccessToken();
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        check(new AuthApi(client).getMe().getUsername().equals(arguments[1]), "me");
        StudentsApi api = new StudentsApi(client);

        ApiResponse<Student> created = api.createStudentWithHttpInfo(student("Ananya", "CSE", 8.9), "first");
        ApiResponse<Student> again = api.createStudentWithHttpInfo(student("Ananya", "CSE", 8.9), "first");
        String tag = created.getHeaders().get("etag").get(0);
        Long id = created.getData().getId();
        check(created.getStatusCode() == 201 && again.getData().equals(created.getData()), "created once");

        List<StudentCreate> bodies = IntStream.range(0, 50)
            .mapToObj(number -> student("Student " + number, "Physics", number / 10.0)).collect(Collectors.toList());
        StudentBatch batch = api.createStudents(bodies, null);
        check(batch.getItems().size() == 50, "batch");

        List<Student> students = all(api);
        check(students.size() == 51 && students.get(0).getName().equals("Ananya"), "all pages");
        StudentPage filtered = api.listStudents(List.of("CSE", "Law"), 8.9, null, null, "ANAN", null, null, null, true);
        check(filtered.getTotal() == 1 && filtered.getItems().get(0).getId().equals(id), "filtered");

        check(api.getStudent(id, null, null).equals(created.getData()), "read");
        try {
            api.getStudent(id, null, tag);
            throw new AssertionError("304 is given as an exception");
        } catch (ApiException error) {
            check(error.getCode() == 304, "not modified");
        }
        Student changed = api.updateStudent(id, new StudentUpdate().cgpa(9.0), tag, null);
        check(changed.getCgpa() == 9.0 && changed.getName().equals("Ananya"), "changed");
        Problem conflict = refused(412, () -> api.replaceStudent(id, student("Somebody", "CSE", 1), tag, null));
        check(conflict.getType().equals("/problems/precondition-failed"), "conflict");

        Problem invalid = refused(422, () -> api.createStudent(student(" ", "CSE", 11), null));
        List<String> pointers = invalid.getErrors().stream().map(FieldError::getPointer).sorted().collect(Collectors.toList());
        check(pointers.equals(List.of("/cgpa", "/name")), "pointers");

        String table = Files.readString(api.exportStudents(null, null, null, null, null, null, null).toPath());
        check(table.startsWith("id,name,department,cgpa,created_at,updated_at\n"), "exported");
        ImportReport report = api.importStudents(table + "1,Nobody,CSE,high,,\n", null, true, null);
        check(report.getCreated() == 51 && report.getErrors().get(0).getPointer().equals("/cgpa"), "imported");

        StudentStatistics statistics = api.getStudentStatistics(null, null, null, null, null);
        check(statistics.getItems().get(1).getCount() == 50, "statistics");

        api.deleteStudent(id, null, null);
        refused(404, () -> { api.deleteStudent(id, null, null); return null; });
        System.out.println("done");
    }
}
