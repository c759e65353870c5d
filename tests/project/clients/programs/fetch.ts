// What a user of a client by openapi-generator's typescript-fetch does: given the service's URL, a username and its
// password.

import assert from 'node:assert/strict';
import {
  AuthApi,
  Configuration,
  ListStudentsSortEnum,
  ProblemFromJSON,
  ResponseError,
  StudentsApi,
  type ListStudentsRequest,
  type Problem,
  type Student,
} from './client/index.js';

const [, , basePath = '', username = '', password = ''] = process.argv;

async function refused(call: Promise<unknown>): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    assert(error instanceof ResponseError);
    return ProblemFromJSON(await error.response.json());
  }
  return assert.fail('nothing was refused');
}

async function all(parameters: ListStudentsRequest): Promise<Student[]> {
  const page = await api.listStudents(parameters);
  return page.nextCursor === undefined ? page.items : [...page.items, ...(await all({ ...parameters, cursor: page.nextCursor }))];
}

const outside = new Configuration({ basePath });
assert.equal((await refused(new StudentsApi(outside).listStudents())).status, 401);
const { accessToken } = await new AuthApi(outside).createToken({ tokenCreate: { username, password } });
const inside = new Configuration({ basePath, accessToken });
assert.equal((await new AuthApi(inside).getMe()).username, username);
const api = new StudentsApi(inside);

const studentCreate = { name: 'Ananya', department: 'CSE', cgpa: 8.9 };
const created = await api.createStudentRaw({ studentCreate, idempotencyKey: crypto.randomUUID() });
const student = await created.value();
const tag = created.raw.headers.get('ETag') ?? '';
assert.equal(created.raw.status, 201);
assert(student.createdAt instanceof Date);

const many = Array.from({ length: 50 }, (_, number) => ({ name: `Student ${number}`, department: 'Physics', cgpa: number / 10 }));
assert.equal((await api.createStudents({ studentCreate: many })).items.length, 50);

const students = await all({ limit: 7, sort: ListStudentsSortEnum.CGPA_DESCENDING });
assert.equal(students.length, 51);
assert.equal(students[0]?.name, 'Ananya');
const filtered = await api.listStudents({ department: ['CSE', 'Law'], cgpaMin: 8.9, q: 'ANAN', updatedAfter: new Date(0), count: true });
assert.equal(filtered.total, 1);

const studentId = student.id;
assert.deepEqual(await api.getStudent({ studentId }), student);
const same = await api.getStudentRaw({ studentId, ifNoneMatch: tag }).catch((error: unknown) => error);
assert(same instanceof ResponseError);
assert.equal(same.response.status, 304);
const changed = await api.updateStudent({ studentId, studentUpdate: { cgpa: 9 }, ifMatch: tag });
assert.deepEqual([changed.cgpa, changed.name], [9, 'Ananya']);
assert.equal((await refused(api.replaceStudent({ studentId, studentCreate, ifMatch: tag }))).status, 412);

const invalid = await refused(api.createStudent({ studentCreate: { name: ' ', department: 'CSE', cgpa: 11 } }));
assert.equal(invalid.type, '/problems/invalid-body');
assert.deepEqual(invalid.errors?.map(({ pointer }) => pointer).sort(), ['/cgpa', '/name']);

const table = await (await api.exportStudents({})).text();
const report = await api.importStudents({ body: `${table}1,Nobody,CSE,high,,\n`, dryRun: true });
assert.deepEqual([report.created, report.refused, report.errors[0]?.pointer], [51, 1, '/cgpa']);

const statistics = await api.getStudentStatistics({});
assert.deepEqual(
  statistics.items.map(({ department, count }) => [department, count]),
  [
    ['CSE', 1],
    ['Physics', 50],
  ],
);

await api.deleteStudent({ studentId });
assert.equal((await refused(api.deleteStudent({ studentId }))).status, 404);
console.log('done');
