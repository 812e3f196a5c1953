-- name: insert_passage
INSERT INTO passages (job_id, position, lines, silence_before_s, language, units, estimated_s)
VALUES (:job_id, :position, :lines, :silence_before_s, :language, :units, :estimated_s);

-- name: passages
SELECT position, lines, silence_before_s, file, sha256, samples, marks
FROM passages WHERE job_id = :job_id ORDER BY position;

-- name: passage_to_commit
SELECT estimated_s, silence_before_s, file FROM passages WHERE job_id = :job_id AND position = :position;

-- name: commit_passage
UPDATE passages SET file = :file, sha256 = :sha256, samples = :samples, marks = :marks
WHERE job_id = :job_id AND position = :position AND file IS NULL;

-- name: uncommit_passage
UPDATE passages SET file = NULL, sha256 = NULL, samples = NULL, marks = NULL
WHERE job_id = :job_id AND position = :position;

-- name: holes
SELECT count(*) AS holes FROM passages WHERE job_id = :job_id AND file IS NULL;

-- name: pace_of_job
SELECT language, sum(units) AS units, sum(samples) AS samples FROM passages
WHERE job_id = :job_id AND file IS NOT NULL AND units > 0 GROUP BY language;

-- name: learn_pace
INSERT INTO paces (engine, language, units, seconds) VALUES (:engine, :language, :units, :seconds)
ON CONFLICT (engine, language) DO UPDATE SET units = units + excluded.units, seconds = seconds + excluded.seconds;

-- name: paces
SELECT language, units, seconds FROM paces WHERE engine = :engine;
