//! `wasaga.plugin_roles`: the login role and the schema of a plugin that may use SQL or the event store.
//!
//! The role is the containment. It is no member of anything, so `set role` and `reset role` lead nowhere; it owns
//! its own schema, may use `wasaga_guest` (whose functions want the host's token, or keep to the caller's own event
//! streams), and has no right on `wasaga`.
//! Its statements come over a connection that is logged in as it, never over the host's own.
//!
//! What remains is what Postgres gives to everybody and what could be taken away only from everybody: to read the
//! catalogs, to make temporary tables and large objects, to use what others granted to `public` (before Postgres 15
//! that includes creating in the schema `public`), to take advisory locks, to NOTIFY, and to change its own
//! password and settings, which harms but itself and is mended by the next activation. Whoever shares the database
//! with other applications revokes these from `public`. And a superuser who reads a plugin's views runs its
//! functions: read plugins' schemas as a member of the plugin's role, or as a role without rights.

use sqlx::{AssertSqlSafe, PgConnection, error::DatabaseError};
use uuid::Uuid;
use wasaga_domain::{
    ids::{Digest, PluginName},
    ports::ModuleError,
};

use crate::{Store, StoreError, guest_pool::NO_WAY};

/// A bound for a plugin gone wild, all hosts together; a host's own bound is `max_guest_connections`.
const CONNECTION_LIMIT: u32 = 100;

/// How a plugin logs in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GuestRole {
    /// The login role.
    pub(crate) name: String,
    /// Its own schema.
    pub(crate) schema: String,
    /// Made by the host that made the role.
    pub(crate) password: String,
}

/// What the database says about a role to be made.
#[derive(sqlx::FromRow)]
struct Situation {
    database: String,
    user: String,
    superuser: bool,
    server_version: i32,
}

impl Store {
    /// The role of a plugin, if one was made.
    pub(crate) async fn guest_role_get(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<GuestRole>, StoreError> {
        role_row(&mut *self.pool.begin().await?, plugin).await
    }

    /// Makes or mends the role and the schema of a plugin, also where the database was restored on a server that
    /// lacks the role, or copied within one. Several hosts may do so at once.
    pub(crate) async fn guest_role_ensure(
        &self,
        plugin: &PluginName,
    ) -> Result<GuestRole, ModuleError> {
        if self.direct.is_none() {
            return Err(ModuleError::Rejected(format!("plugin {plugin} needs SQL, but {NO_WAY}")));
        }
        let situation: Situation = sqlx::query_as(
            "select current_database()::text as database, current_user::text as user,
                 (select rolsuper from pg_roles where rolname = current_user) as superuser,
                 current_setting('server_version_num')::integer as server_version",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::from)
        .map_err(unavailable)?;
        self.guest_role_make(plugin, &situation).await.map_err(|error| {
            if let sqlx::Error::Configuration(what) = &error {
                return ModuleError::Rejected(format!(
                    "plugin {plugin} needs a database role, but {what}"
                ));
            }
            let code = error.as_database_error().and_then(DatabaseError::code);
            if code.as_deref() == Some("42501") {
                let Situation { database, user, .. } = &situation;
                return ModuleError::Rejected(format!(
                    "plugin {plugin} needs a database role, but the database user {user:?} may not make its login role ({error}): \
                     let a superuser run `alter role {user} createrole; grant create on database {database} to {user};`"
                ));
            }
            unavailable(error.into())
        })
    }

    async fn guest_role_make(
        &self,
        plugin: &PluginName,
        situation: &Situation,
    ) -> Result<GuestRole, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        // Serializes the makers; a guest, who could take an advisory lock, has no right on this table.
        sqlx::query("lock table wasaga.plugin_roles in share row exclusive mode")
            .execute(&mut *tx)
            .await?;
        let name = role_name(plugin, &situation.database);
        let schema = format!("plugin_{}", plugin.as_str().replace('-', "_"));
        let known = role_row(&mut tx, plugin).await.map_err(sqlx::Error::decode)?;
        let role = match &known {
            Some(role) if role.name == name => role.clone(),
            _ => GuestRole { name, schema, password: password() },
        };
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(&role.name)
                .fetch_one(&mut *tx)
                .await?;
        let owner: Option<String> = sqlx::query_scalar(
            "select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = $1",
        )
        .bind(&role.schema)
        .fetch_optional(&mut *tx)
        .await?;
        if known.is_none() && owner.as_ref().is_some_and(|owner| *owner != role.name) {
            let message = format!(
                "the schema {} exists and is not of wasaga's making: rename or drop it",
                role.schema
            );
            return Err(sqlx::Error::Configuration(message.into()));
        }

        sqlx::raw_sql(AssertSqlSafe(role_sql(&role, exists, owner.is_some(), situation)))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "insert into wasaga.plugin_roles (plugin, role, schema, password) values ($1, $2, $3, $4)
             on conflict (plugin) do update set role = excluded.role, password = excluded.password",
        )
        .bind(plugin.as_str())
        .bind(&role.name)
        .bind(&role.schema)
        .bind(&role.password)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(role)
    }
}

/// The statements that make or mend a role. The names are `[a-z0-9_]`, the password is hexadecimal.
fn role_sql(role: &GuestRole, exists: bool, has_schema: bool, situation: &Situation) -> String {
    let GuestRole { name, schema, password } = role;
    let verb = if exists { "alter" } else { "create" };
    // To own a schema on its behalf, and to end its runaway statements.
    let membership = match situation {
        Situation { superuser: true, .. } => String::new(),
        Situation { server_version: ..160_000, .. } => format!("grant {name} to current_user;"),
        _ => format!("grant {name} to current_user with inherit true, set true;"),
    };
    let own = if has_schema {
        adopt_sql(role)
    } else {
        format!("create schema {schema} authorization {name};")
    };
    format!(
        "{verb} role {name} login noinherit connection limit {CONNECTION_LIMIT} password '{password}';
         alter role {name} reset all;
         do $$ begin
             execute format('alter role {name} in database %I reset all', current_database());
         end $$;
         alter role {name} set search_path = {schema};
         {membership}
         {own}
         grant usage on schema wasaga_guest to {name};
         grant execute on function wasaga_guest.sagas_commit, wasaga_guest.tasks_finish to {name};
         do $$ begin
             if not has_database_privilege('{name}', current_database(), 'connect') then
                 execute format('grant connect on database %I to {name}', current_database());
             end if;
         end $$;"
    )
}

/// Gives a schema, and what is in it, to the role: a restored database may have left them to somebody else.
fn adopt_sql(role: &GuestRole) -> String {
    let GuestRole { name, schema, .. } = role;
    format!(
        "do $$
         declare statement text;
         begin
             for statement in
                 select format('alter schema %I owner to {name}', nspname) from pg_namespace
                 where nspname = '{schema}' and nspowner <> '{name}'::regrole
                 union all
                 select format('alter %s %s owner to {name}',
                     case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                         when 'f' then 'foreign table' else 'table' end, c.oid::regclass)
                 from pg_class c
                 where relnamespace = '{schema}'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                   and relowner <> '{name}'::regrole
                   and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i')
                       and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass)
                 union all
                 select format('alter routine %s owner to {name}', oid::regprocedure) from pg_proc
                 where pronamespace = '{schema}'::regnamespace and proowner <> '{name}'::regrole
                 union all
                 select format('alter type %s owner to {name}', oid::regtype) from pg_type
                 where typnamespace = '{schema}'::regnamespace and typowner <> '{name}'::regrole
                   and typtype in ('e', 'd', 'r')
             loop
                 execute statement;
             end loop;
         end $$;"
    )
}

/// Roles belong to the whole server: the hash keeps the databases on it apart. At most 63 characters.
fn role_name(plugin: &PluginName, database: &str) -> String {
    format!("wasaga_plugin_{}_{}", plugin.as_str().replace('-', "_"), database_hash(database))
}

pub(crate) fn database_hash(database: &str) -> String {
    hex::encode(&Digest::of(database.as_bytes()).0[..4])
}

/// 244 bits of chance.
fn password() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

async fn role_row(
    connection: &mut PgConnection,
    plugin: &PluginName,
) -> Result<Option<GuestRole>, StoreError> {
    let row: Option<(String, String, String)> =
        sqlx::query_as("select role, schema, password from wasaga.plugin_roles where plugin = $1")
            .bind(plugin.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(name, schema, password)| GuestRole { name, schema, password }))
}

fn unavailable(error: StoreError) -> ModuleError {
    ModuleError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_still_fits() {
        let longest: PluginName = format!("a{}", "-b".repeat(19)).parse().expect("a name");
        assert!(role_name(&longest, "wasaga").len() <= 63);
        assert_ne!(role_name(&longest, "one"), role_name(&longest, "other"));
    }
}
