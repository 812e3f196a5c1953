-- name: insert_passage
INSERT INTO passages (job_id, position, lines, silence_before_s, language, units, estimated_s)
VALUES (:job_id, :position, :lines, :silence_before_s, :language, :units, :estimated_s);

-- name: passages
SELECT position, lines, silence_before_s, estimated_s, is_spoken, marks, seed FROM passages WHERE job_id = :job_id ORDER BY position;

-- name: stretches
SELECT position, number, file, sha256, samples, trace_bytes
FROM stretches WHERE job_id = :job_id ORDER BY position, number;

-- name: passage_progress
SELECT estimated_s, silence_before_s, is_spoken,
       (SELECT count(*) FROM stretches s WHERE s.job_id = p.job_id AND s.position = p.position) AS stretches,
       (SELECT coalesce(sum(samples), 0) FROM stretches s
        WHERE s.job_id = p.job_id AND s.position = p.position) AS samples
FROM passages p WHERE job_id = :job_id AND position = :position;

-- name: insert_stretch
INSERT INTO stretches (job_id, position, number, file, sha256, samples, trace_bytes)
VALUES (:job_id, :position, :number, :file, :sha256, :samples, :trace_bytes);

-- name: end_passage
UPDATE passages SET is_spoken = 1, marks = :marks WHERE job_id = :job_id AND position = :position;

-- name: reopen_passage
UPDATE passages SET is_spoken = 0, marks = NULL WHERE job_id = :job_id AND position = :position;

-- name: cut_stretches
DELETE FROM stretches WHERE job_id = :job_id AND position = :position AND number >= :number;

-- name: holes
SELECT passages_total - (SELECT count(*) FROM passages p WHERE p.job_id = :job_id AND is_spoken = 1) AS holes
FROM jobs WHERE id = :job_id;

-- name: pace_of_job
SELECT language, sum(units) AS units,
       sum((SELECT coalesce(sum(samples), 0) FROM stretches s
            WHERE s.job_id = p.job_id AND s.position = p.position)) AS samples
FROM passages p WHERE job_id = :job_id AND is_spoken = 1 AND units > 0
    AND position NOT IN (SELECT data ->> 'passage' FROM events WHERE job_id = :job_id AND kind = :remark)
GROUP BY language;

-- name: learn_pace
INSERT INTO paces (engine, language, units, seconds) VALUES (:engine, :language, :units, :seconds)
ON CONFLICT (engine, language) DO UPDATE SET units = units + excluded.units, seconds = seconds + excluded.seconds;

-- name: paces
SELECT language, units, seconds FROM paces WHERE engine = :engine;
