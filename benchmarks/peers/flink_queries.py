"""Flink SQL over the same topic, in an environment of its own: the same results into a sink that keeps nothing.

python flink_queries.py BROKERS TOPIC CONNECTOR_JAR EVENTS CHECKPOINT_FOLDER
"""

import json
import sys
import time

from pyflink.table import EnvironmentSettings, TableEnvironment

brokers, topic, jar, events, folder = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
for name, value in {
    "pipeline.jars": f"file://{jar}",
    "parallelism.default": "2",
    "pipeline.object-reuse": "true",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "20000",
    "table.local-time-zone": "UTC",
    "execution.checkpointing.interval": "5 s",
    "execution.checkpointing.dir": f"file://{folder}",
    "restart-strategy.type": "none",
    "taskmanager.memory.process.size": "2g",
    "taskmanager.numberOfTaskSlots": "2",
}.items():
    tables.get_config().set(name, value)

tables.execute_sql(
    f"""
    CREATE TABLE orders (
        event_id STRING, event_type STRING, event_time STRING, order_id STRING, customer_id STRING,
        total_amount DECIMAL(13, 2),
        items ARRAY<ROW<product_id STRING, category STRING, quantity BIGINT, amount DECIMAL(13, 2)>>,
        moment AS TO_TIMESTAMP(REPLACE(REPLACE(event_time, 'T', ' '), 'Z', ''), 'yyyy-MM-dd HH:mm:ss.SSS'),
        WATERMARK FOR moment AS moment - INTERVAL '5' SECOND
    ) WITH (
        'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{brokers}',
        'properties.group.id' = 'benchmark-flink', 'scan.startup.mode' = 'earliest-offset',
        'scan.bounded.mode' = 'latest-offset', 'format' = 'json'
    )
    """
)
LINES = """
    SELECT o.moment, o.customer_id, i.*
    FROM orders AS o CROSS JOIN UNNEST(o.items) AS i (product_id, category, quantity, amount)
"""
QUERIES = {
    "windows": """
        SELECT window_start, SUM(total_amount) AS revenue, COUNT(*) AS orders
        FROM TABLE(HOP(TABLE orders, DESCRIPTOR(moment), INTERVAL '1' MINUTE, INTERVAL '5' MINUTES))
        GROUP BY window_start, window_end
    """,
    "products": """
        SELECT product_id, SUM(amount) AS revenue, SUM(quantity) AS pieces, COUNT(*) AS orders
        FROM order_lines GROUP BY product_id
    """,
    "customers": """
        SELECT customer_id, SUM(total_amount) AS revenue, COUNT(*) AS orders
        FROM orders GROUP BY customer_id
    """,
    "hours": """
        SELECT window_start, category, SUM(amount) AS revenue, SUM(quantity) AS pieces
        FROM TABLE(TUMBLE(TABLE order_lines, DESCRIPTOR(moment), INTERVAL '1' HOUR))
        GROUP BY window_start, window_end, category
    """,
    "sessions": """
        SELECT window_start, customer_id, SUM(total_amount) AS revenue, COUNT(*) AS orders
        FROM TABLE(SESSION(TABLE orders PARTITION BY customer_id, DESCRIPTOR(moment), INTERVAL '30' MINUTES))
        GROUP BY window_start, window_end, customer_id
    """,
}
COLUMNS = {
    "windows": "start_at TIMESTAMP(3), revenue DECIMAL(38, 2), orders BIGINT",
    "products": "product_id STRING, revenue DECIMAL(38, 2), pieces BIGINT, orders BIGINT",
    "customers": "customer_id STRING, revenue DECIMAL(38, 2), orders BIGINT",
    "hours": "start_at TIMESTAMP(3), category STRING, revenue DECIMAL(38, 2), pieces BIGINT",
    "sessions": "start_at TIMESTAMP(3), customer_id STRING, revenue DECIMAL(38, 2), orders BIGINT",
}
tables.execute_sql(f"CREATE TEMPORARY VIEW order_lines AS {LINES}")
statements = tables.create_statement_set()
for name, query in QUERIES.items():
    tables.execute_sql(f"CREATE TABLE {name} ({COLUMNS[name]}) WITH ('connector' = 'blackhole')")
    statements.add_insert_sql(f"INSERT INTO {name} {query}")
started = time.perf_counter()
statements.execute().wait()
print(json.dumps({"events": events, "seconds": time.perf_counter() - started}))
