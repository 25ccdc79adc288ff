-- Most of what VACUUM finds in the table of open operations is gone, so the planner believes in a few rows on thousands of
-- pages, of which an index that has the id behind something else seems to be as good a way to one operation as the
-- primary key, and is read from end to end for each. An index with a condition is none for those who do not name it;
-- this one holds of every row.
DROP INDEX operation_tenant;
CREATE INDEX operation_tenant ON operation (tenant, id) WHERE recorded_at > 0;
