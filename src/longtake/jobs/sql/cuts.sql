-- name: raise_token
UPDATE jobs SET token = token + 1 WHERE id = :id;

-- name: copy_job
INSERT INTO jobs (id, number, kind, priority, engine, state, reason, spec, script, out_subtitles, created_at, started_at,
    ended_at, passages_total, passages_done, audio_samples, remaining_s, audio_file, audio_bytes, token, earlier_of,
    spoken_on)
SELECT :id, (SELECT max(number) + 1 FROM jobs), kind, priority, engine, :state, :reason, :spec, script, '[]', created_at,
       started_at, ended_at, passages_total, passages_done, audio_samples, remaining_s, audio_file, audio_bytes, token,
       :job_id, spoken_on
FROM jobs WHERE id = :job_id;

-- name: copy_passages
INSERT INTO passages (job_id, position, lines, silence_before_s, language, units, estimated_s, is_spoken, marks, seed)
SELECT :id, position, lines, silence_before_s, language, units, estimated_s, is_spoken, marks, seed
FROM passages WHERE job_id = :job_id;

-- name: copy_stretches
INSERT INTO stretches (job_id, position, number, file, sha256, samples, trace_bytes)
SELECT :id, position, number, file, sha256, samples, trace_bytes FROM stretches WHERE job_id = :job_id;

-- name: cut_behind
DELETE FROM stretches WHERE job_id = :job_id AND position > :position;

-- name: reopen_from
UPDATE passages SET is_spoken = 0, marks = NULL, seed = :seed WHERE job_id = :job_id AND position >= :position;

-- name: begin_again
UPDATE jobs SET error = NULL, ended_at = NULL, delivered_at = NULL, audio_file = NULL, audio_bytes = NULL, crashes = 0,
    progress_mono = NULL, earlier_of = NULL, cut_token = token, passages_done = :passages, audio_samples = :samples, remaining_s = :remaining_s
WHERE id = :id;

-- name: stand_alone
UPDATE jobs SET earlier_of = NULL WHERE id = :id;

-- name: outlive
UPDATE jobs SET earlier_of = NULL WHERE earlier_of = :id;

-- name: superseded
SELECT earlier.id AS id, job.id AS job_id FROM jobs AS earlier CROSS JOIN jobs AS job ON job.id = earlier.earlier_of
WHERE earlier.state IN ('done', 'paused', 'failed', 'cancelled') AND earlier.earlier_of IS NOT NULL
  AND (:id IS NULL OR earlier.id = :id)
  AND job.state = 'done' AND (job.out_path IS NULL OR job.delivered_at IS NOT NULL);
