-- Claims rows that are overdue for sending. $1: at most so many; $2: for at most so many microseconds, since the index
-- begins with all that was finalized after the last VACUUM. The next send is 5 s later, doubling to 6 h.
-- Of the clocks, only one that stands still during a statement lets it go by the index.
UPDATE outbox o
SET sends = o.sends + 1,
    send_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        + least(5000000 * power(2, least(o.sends, 12))::bigint, 21600000000)
FROM (
    SELECT operation_id
    FROM outbox
    WHERE send_at <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
        AND send_at >= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - $2
    LIMIT $1
    FOR UPDATE SKIP LOCKED
) due
WHERE o.operation_id = due.operation_id
RETURNING o.operation_id, o.spec, o.definitions
