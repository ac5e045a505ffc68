-- How much there is of what is pulled, and what events say of users.
select 'users' as name, count(*) as rows from {{ ref('stg_users') }}
union all
select 'content', count(*) from {{ ref('stg_content') }}
union all
select 'sessions', count(*) from {{ ref('stg_sessions') }}
union all
select 'events_without_user', count(*) from {{ ref('stg_events') }} where user_id is null
union all
select 'events_with_user_object', count(*) from {{ ref('stg_events') }} where has_user_object
order by name
