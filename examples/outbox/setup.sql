-- By who owns the schema wasaga: a role for the application, which may emit and accept, and nothing else of wasaga's.
create role shop login password 'shop';
create schema shop authorization shop;
grant usage on schema wasaga to shop;
grant execute on function wasaga.emit, wasaga.emit_many, wasaga.accept to shop;
