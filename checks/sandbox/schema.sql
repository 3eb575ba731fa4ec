-- The learning platform of the sandbox: what the guide's queries expect of a
-- site, with enough rows that sizes, scans and dead tuples are real.
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

CREATE TABLE roles (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE permissions (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE role_permissions (role_id int REFERENCES roles, permission_id int REFERENCES permissions, PRIMARY KEY (role_id, permission_id));
CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL UNIQUE, full_name text NOT NULL, role_id int REFERENCES roles, created_at timestamptz NOT NULL DEFAULT now(), last_login timestamptz);
CREATE TABLE user_profiles (user_id int PRIMARY KEY REFERENCES users, bio text, avatar_url text, locale text DEFAULT 'en');
CREATE TABLE user_settings (user_id int PRIMARY KEY REFERENCES users, settings jsonb NOT NULL DEFAULT '{}');
CREATE TABLE organizations (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE organization_members (organization_id int REFERENCES organizations, user_id int REFERENCES users, PRIMARY KEY (organization_id, user_id));
CREATE TABLE categories (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE courses (id serial PRIMARY KEY, category_id int REFERENCES categories, title text NOT NULL, seats int NOT NULL DEFAULT 100, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE course_instructors (course_id int REFERENCES courses, user_id int REFERENCES users, PRIMARY KEY (course_id, user_id));
CREATE TABLE course_sections (id serial PRIMARY KEY, course_id int REFERENCES courses, title text NOT NULL, position int NOT NULL);
CREATE TABLE lessons (id serial PRIMARY KEY, section_id int REFERENCES course_sections, title text NOT NULL, body text);
CREATE TABLE lesson_progress (user_id int REFERENCES users, lesson_id int REFERENCES lessons, done_at timestamptz, PRIMARY KEY (user_id, lesson_id));
CREATE TABLE enrollments (id serial PRIMARY KEY, user_id int REFERENCES users, course_id int REFERENCES courses, enrolled_at timestamptz NOT NULL DEFAULT now(), completed_at timestamptz);
CREATE TABLE quizzes (id serial PRIMARY KEY, course_id int REFERENCES courses, title text NOT NULL);
CREATE TABLE questions (id serial PRIMARY KEY, quiz_id int REFERENCES quizzes, body text NOT NULL);
CREATE TABLE answers (id serial PRIMARY KEY, question_id int REFERENCES questions, body text NOT NULL, correct bool NOT NULL DEFAULT false);
CREATE TABLE quiz_attempts (id serial PRIMARY KEY, user_id int REFERENCES users, quiz_id int REFERENCES quizzes, score numeric(5,2), attempted_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE assignments (id serial PRIMARY KEY, course_id int REFERENCES courses, title text NOT NULL, due_at timestamptz);
CREATE TABLE submissions (id serial PRIMARY KEY, assignment_id int REFERENCES assignments, user_id int REFERENCES users, body text, submitted_at timestamptz DEFAULT now());
CREATE TABLE grades (submission_id int PRIMARY KEY REFERENCES submissions, grade numeric(5,2), graded_by int REFERENCES users);
CREATE TABLE certificates (id serial PRIMARY KEY, user_id int REFERENCES users, course_id int REFERENCES courses, issued_at timestamptz DEFAULT now());
CREATE TABLE discussions (id serial PRIMARY KEY, course_id int REFERENCES courses, title text NOT NULL);
CREATE TABLE discussion_posts (id serial PRIMARY KEY, discussion_id int REFERENCES discussions, user_id int REFERENCES users, body text, posted_at timestamptz DEFAULT now());
CREATE TABLE announcements (id serial PRIMARY KEY, course_id int REFERENCES courses, body text, posted_at timestamptz DEFAULT now());
CREATE TABLE notifications (id serial PRIMARY KEY, user_id int REFERENCES users, body text, is_read bool DEFAULT false, created_at timestamptz DEFAULT now());
CREATE TABLE messages (id serial PRIMARY KEY, sender_id int REFERENCES users, recipient_id int REFERENCES users, body text, sent_at timestamptz DEFAULT now());
CREATE TABLE files (id serial PRIMARY KEY, owner_id int REFERENCES users, path text NOT NULL, bytes bigint NOT NULL);
CREATE TABLE tags (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE course_tags (course_id int REFERENCES courses, tag_id int REFERENCES tags, PRIMARY KEY (course_id, tag_id));
CREATE TABLE payments (id serial PRIMARY KEY, user_id int REFERENCES users, amount numeric(10,2), paid_at timestamptz DEFAULT now());
CREATE TABLE refresh_tokens (id serial PRIMARY KEY, user_id int REFERENCES users, token_hash text NOT NULL, expires_at timestamptz NOT NULL);
CREATE TABLE audit_logs (id bigserial PRIMARY KEY, user_id int REFERENCES users, action text NOT NULL, email text, ip_address inet, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE audit_logs_archive (LIKE audit_logs INCLUDING ALL);
CREATE TABLE "Report Cache" (id serial PRIMARY KEY, body text);
-- Counters that are rewritten all day and, by somebody's mistake, never vacuumed.
CREATE TABLE view_counters (course_id int PRIMARY KEY, views bigint NOT NULL DEFAULT 0) WITH (autovacuum_enabled = false);
CREATE INDEX view_counters_views ON view_counters (views); -- keeps updates from being heap-only

CREATE INDEX audit_logs_created_at ON audit_logs (created_at);
CREATE INDEX enrollments_enrolled_at ON enrollments (enrolled_at);

INSERT INTO roles (name) VALUES ('student'), ('instructor'), ('admin');
INSERT INTO categories (name) SELECT 'category ' || g FROM generate_series(1, 8) g;
INSERT INTO users (email, full_name, role_id, created_at)
  SELECT 'user' || g || '@lms.example.com', 'User ' || g, 1 + (g % 20 = 0)::int, now() - (g % 400) * interval '1 day' FROM generate_series(1, 2000) g;
INSERT INTO courses (category_id, title) SELECT 1 + g % 8, 'Course ' || g FROM generate_series(1, 60) g;
INSERT INTO course_sections (course_id, title, position) SELECT 1 + g % 60, 'Section ' || g, g FROM generate_series(1, 240) g;
INSERT INTO lessons (section_id, title, body) SELECT 1 + g % 240, 'Lesson ' || g, repeat('text ', 40) FROM generate_series(1, 1200) g;
INSERT INTO enrollments (user_id, course_id, enrolled_at)
  SELECT 1 + g % 2000, 1 + g % 60, now() - (g % 4320) * interval '10 minutes' FROM generate_series(1, 9000) g;
INSERT INTO audit_logs (user_id, action, email, ip_address, created_at)
  SELECT 1 + g % 2000, (ARRAY['login', 'view', 'submit', 'logout'])[1 + g % 4], NULL, ('192.0.2.' || (g % 250))::inet, now() - g * interval '40 seconds'
  FROM generate_series(1, 20000) g;
-- One account that somebody guesses at, and an admin whom nobody has reviewed.
INSERT INTO audit_logs (action, email, ip_address, created_at)
  SELECT 'login_failed', 'user7@lms.example.com', '203.0.113.9', now() - g * interval '3 hours' FROM generate_series(1, 14) g;
INSERT INTO audit_logs (user_id, action, created_at) VALUES (7, 'role_changed', now() - interval '9 days');
UPDATE users SET role_id = 3 WHERE id IN (7, 1313);
INSERT INTO notifications (user_id, body, is_read, created_at)
  SELECT 1 + g % 2000, 'note ' || g, g % 3 = 0, now() - g * interval '5 minutes' FROM generate_series(1, 4000) g;
-- What is to be archived and purged.
INSERT INTO audit_logs (user_id, action, created_at) SELECT 1 + g % 2000, 'view', now() - interval '91 days' - g * interval '1 hour' FROM generate_series(1, 300) g;
INSERT INTO notifications (user_id, body, is_read, created_at) SELECT 1 + g, 'old note', true, now() - interval '31 days' FROM generate_series(1, 150) g;
INSERT INTO view_counters SELECT g, 0 FROM generate_series(1, 60) g;
DO $$ BEGIN FOR i IN 1..50 LOOP UPDATE view_counters SET views = views + 1; END LOOP; END $$;

-- A report that is slow every time it is asked for.
CREATE FUNCTION completion_report(days int) RETURNS bigint LANGUAGE sql AS
  $$ SELECT count(*) FROM enrollments e, pg_sleep(0.16) WHERE e.enrolled_at > now() - days * interval '1 day' $$;

CREATE ROLE opsdeck_monitor LOGIN;
GRANT pg_monitor TO opsdeck_monitor;
GRANT SELECT ON audit_logs, courses, enrollments, quiz_attempts, roles, users TO opsdeck_monitor;
ANALYZE;
