-- When definitions' sagas start by themselves: a row is written when its plugin is activated, and moves on when the
-- starts of its occurrences are committed.

create table wasaga.schedules (
    definition text primary key,
    version integer not null check (version > 0),
    plugin text not null,
    expression text not null,
    misfire text not null check (misfire in ('skip', 'once', 'all')),
    -- from when on the expression holds
    since timestamptz not null default now(),
    -- the first occurrence that has not been dealt with; null until a host has worked it out
    next_at timestamptz,
    -- the last occurrence that was dealt with
    last_at timestamptz
);
