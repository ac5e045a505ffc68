-- The five prayer types with the most sessions in each age group; ties by name.
with counted as (
    select
        users.age_group,
        content.prayer_type,
        count(*) as session_count
    from {{ ref('stg_sessions') }} as sessions
    inner join {{ ref('stg_csv_users') }} as users using (user_id)
    inner join {{ ref('stg_csv_content') }} as content using (content_id)
    where users.age_group is not null and content.prayer_type is not null
    group by all
),

ranked as (
    select
        *,
        row_number() over (partition by age_group order by session_count desc, prayer_type) as age_group_rank
    from counted
)

select
    age_group,
    prayer_type,
    session_count,
    age_group_rank
from ranked
where age_group_rank <= 5
order by age_group, age_group_rank
