UPDATE operation AS o
SET version = o.version + 1, holder = i.holder, due_at = $5 + i.retry_in, updated_at = $5
FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[]) AS i (id, epoch, holder, retry_in)
WHERE o.id = i.id AND o.epoch = i.epoch
RETURNING o.id, o.version
