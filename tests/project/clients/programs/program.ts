// What a user of the client does, in the order of a day: given the service's URL, a username and its password.

import assert from 'node:assert/strict';
import {
  client,
  createStudent,
  createStudents,
  createToken,
  deleteStudent,
  exportStudents,
  getMe,
  getStudent,
  getStudentStatistics,
  importStudents,
  iterateAuditEntries,
  iterateStudents,
  listStudents,
  listTokens,
  replaceStudent,
  retry,
  revokeToken,
  updateStudent,
  type Problem,
  type Student,
  type StudentCreate,
} from 'registrar-client';

const [, , baseUrl = '', username = '', password = ''] = process.argv;
client.setConfig({ baseUrl });

async function signIn(role: 'admin' | 'viewer'): Promise<string> {
  const { data } = await createToken({ body: { username, password, role }, throwOnError: true });
  return data.access_token;
}

async function stayOut(): Promise<void> {
  const wrong = await createToken({ body: { username, password: 'no, not this' } });
  assert.equal(wrong.error?.status, 401);
  const { error, response } = await listStudents();
  assert.equal(error?.type, '/problems/unauthenticated');
  assert(response.headers.get('WWW-Authenticate')?.startsWith('Bearer'));
}

async function lookAfterTokens(): Promise<void> {
  const auth = await signIn('viewer');
  const { data: me } = await getMe({ auth, throwOnError: true });
  assert.deepEqual([me.username, me.role], [username, 'viewer']);
  const denied = await createStudent({ auth, body: { name: 'Ananya', department: 'CSE', cgpa: 8.9 } });
  assert.equal(denied.error?.status, 403);
  const { data } = await listTokens({ throwOnError: true });
  assert(data.items.some(({ id }) => id === me.token_id));
  assert.equal((await revokeToken({ path: { token_id: me.token_id } })).response.status, 204);
}

async function lookBack(): Promise<void> {
  const actions = new Set<string>();
  for await (const entry of iterateAuditEntries({ query: { record: 'students.student', limit: 10 } })) {
    actions.add(entry.action);
  }
  assert(['create', 'update', 'delete'].every((action) => actions.has(action)));
}

async function create(): Promise<[Student, string]> {
  const body: StudentCreate = { name: 'Ananya', department: 'CSE', cgpa: 8.9 };
  const headers = { 'Idempotency-Key': crypto.randomUUID() };
  const first = await retry(() => createStudent({ body, headers }));
  const again = await retry(() => createStudent({ body, headers }));
  assert.equal(first.response.status, 201);
  assert.equal(again.response.headers.get('Idempotency-Replayed'), 'true');
  assert.deepEqual(again.data, first.data);
  assert(first.data);
  assert(Number.isSafeInteger(first.data.id));
  return [first.data, first.response.headers.get('ETag') ?? ''];
}

async function createMany(): Promise<void> {
  const body = Array.from({ length: 50 }, (_, number) => ({
    name: `Student ${number}`,
    department: 'Physics',
    cgpa: number / 10,
  }));
  const { data } = await createStudents({ body, throwOnError: true });
  assert.deepEqual(
    data.items.map(({ name }) => name),
    body.map(({ name }) => name),
  );
}

async function listAll(): Promise<void> {
  const grades: number[] = [];
  for await (const student of iterateStudents({ query: { limit: 7, sort: '-cgpa' } })) {
    grades.push(student.cgpa);
  }
  assert.equal(grades.length, 51);
  assert.equal(grades[0], 8.9);
  assert.deepEqual(grades, grades.toSorted((a, b) => b - a));
}

async function filter(): Promise<void> {
  const query = { department: ['CSE', 'Law'], cgpa_min: 8.9, q: 'ANAN', updated_after: '2020-01-01T00:00:00Z', count: true };
  const { data } = await listStudents({ query, throwOnError: true });
  assert.deepEqual(
    data.items.map(({ name }) => name),
    ['Ananya'],
  );
  assert.equal(data.total, 1);
  await assert.rejects(
    async () => {
      for await (const student of iterateStudents({ query: { limit: 101 } })) {
        assert.fail(student.name);
      }
    },
    (problem: Problem) => problem.status === 400,
  );
}

async function readAndChange(student: Student, tag: string): Promise<void> {
  const path = { student_id: student.id };
  const same = await getStudent({ path, headers: { 'If-None-Match': tag } });
  assert.equal(same.response.status, 304);
  assert.equal(same.data, undefined);
  const read = await getStudent({ path });
  assert.deepEqual(read.data, student);
  const changed = await updateStudent({ path, body: { cgpa: 9 }, headers: { 'If-Match': tag } });
  assert.equal(changed.data?.cgpa, 9);
  assert.equal(changed.data?.name, 'Ananya');
  const body = { name: 'Somebody', department: 'CSE', cgpa: 1 };
  const conflict = await replaceStudent({ path, body, headers: { 'If-Match': tag } });
  assert.equal(conflict.response.status, 412);
  assert.equal(conflict.error?.type, '/problems/precondition-failed');
}

async function beRefused(): Promise<void> {
  const { error } = await createStudent({ body: { name: ' ', department: 'CSE', cgpa: 11 } });
  assert.equal(error?.status, 422);
  assert.deepEqual(error.errors?.map(({ pointer }) => pointer).sort(), ['/cgpa', '/name']);
  const missing = await getStudent({ path: { student_id: Number.MAX_SAFE_INTEGER } });
  assert.equal(missing.error?.status, 404);
}

async function moveFiles(): Promise<void> {
  const exported = await exportStudents({ parseAs: 'blob', throwOnError: true });
  const table = await exported.data.text();
  assert(table.startsWith('id,name,department,cgpa,created_at,updated_at\n'));
  const tried = await importStudents({ body: table, query: { dry_run: true }, throwOnError: true });
  assert.equal(tried.data.created, 51);
  assert.equal(tried.data.dry_run, true);
  const query = { format: 'jsonl' as const, department: ['CSE'] };
  const lines = await exportStudents({ query, parseAs: 'blob', throwOnError: true });
  const { data } = await importStudents({
    body: `${await lines.data.text()}{"name": "Nobody", "department": "CSE", "cgpa": "high"}\n`,
    headers: { 'Content-Type': 'application/x-ndjson' },
    throwOnError: true,
  });
  assert.equal(data.created, 1);
  assert.deepEqual(
    data.errors.map(({ line, pointer }) => [line, pointer]),
    [[2, '/cgpa']],
  );
}

async function sumUp(): Promise<void> {
  const { data } = await getStudentStatistics({ throwOnError: true });
  assert.deepEqual(
    data.items.map(({ department, count }) => [department, count]),
    [
      ['CSE', 2],
      ['Physics', 50],
    ],
  );
}

async function remove(student: Student): Promise<void> {
  const path = { student_id: student.id };
  assert.equal((await deleteStudent({ path })).response.status, 204);
  assert.equal((await deleteStudent({ path })).response.status, 404);
}

await stayOut();
const token = await signIn('admin');
client.setConfig({ baseUrl, auth: () => token });
await lookAfterTokens();
const [student, tag] = await create();
await createMany();
await listAll();
await filter();
await readAndChange(student, tag);
await beRefused();
await moveFiles();
await sumUp();
await remove(student);
await lookBack();
console.log('done');
