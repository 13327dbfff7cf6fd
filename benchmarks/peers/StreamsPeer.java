// Kafka Streams with the same results: java -cp ... StreamsPeer.java BROKERS TOPIC EVENTS memory|rocksdb FOLDER
// Windows and sessions as in capabilities S3 to S7, exactly once, counted when the input has been read and committed.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.Stores;

public class StreamsPeer {
    static final ObjectMapper JSON = new ObjectMapper();
    static final long WARM_UP = 20_000;  // orders before it is measured, as many as the speed layer's first micro-batch

    record Line(String product, String category, long quantity, long cents) {}
    record Order(String customer, long at, long cents, List<Line> lines) {}

    static long cents(JsonNode amount) { return Math.round(Double.parseDouble(amount.asText()) * 100); }

    static Order parse(byte[] value) {
        try {
            JsonNode order = JSON.readTree(value);
            List<Line> lines = new ArrayList<>();
            for (JsonNode item : order.get("items"))
                lines.add(new Line(item.get("product_id").asText(), item.get("category").asText(),
                                   item.get("quantity").asLong(), cents(item.get("amount"))));
            return new Order(order.get("customer_id").asText(), Instant.parse(order.get("event_time").asText()).toEpochMilli(),
                             cents(order.get("total_amount")), lines);
        } catch (java.io.IOException broken) {
            return null;
        }
    }

    static class Parsed implements Serde<Order> {
        public org.apache.kafka.common.serialization.Serializer<Order> serializer() { return (topic, order) -> { throw new IllegalStateException(); }; }
        public org.apache.kafka.common.serialization.Deserializer<Order> deserializer() { return (topic, value) -> parse(value); }
    }

    // Sums travel as "count:cents" in sixteen bytes.
    static byte[] sum(long count, long cents) { return java.nio.ByteBuffer.allocate(16).putLong(count).putLong(cents).array(); }
    static byte[] add(byte[] one, byte[] other) {
        var a = java.nio.ByteBuffer.wrap(one); var b = java.nio.ByteBuffer.wrap(other);
        return sum(a.getLong(0) + b.getLong(0), a.getLong(8) + b.getLong(8));
    }

    // Nanoseconds of the process so far; what starting and warming up took is subtracted.
    static long cpuTime() {
        return ((com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0], topic = arguments[1], kind = arguments[3];
        long events = Long.parseLong(arguments[2]);
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "benchmark-streams-" + kind);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", 5000);
        settings.put("compression.type", "lz4");
        settings.put("linger.ms", 50);
        if (kind.equals("memory"))
            settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers");

        AtomicLong read = new AtomicLong(), startedAt = new AtomicLong(), usedBefore = new AtomicLong(), endedAt = new AtomicLong();
        TimestampExtractor eventTime = (ConsumerRecord<Object, Object> record, long partitionTime) ->
            record.value() instanceof Order order ? order.at() : record.timestamp();
        StreamsBuilder builder = new StreamsBuilder();
        var bytes = Serdes.ByteArray();
        var text = Serdes.String();
        KStream<String, Order> orders = builder.stream(topic, Consumed.with(text, new Parsed()).withTimestampExtractor(eventTime))
            .peek((key, order) -> {
                long count = read.incrementAndGet();
                if (count == WARM_UP) {
                    startedAt.set(System.nanoTime());
                    usedBefore.set(cpuTime());
                }
                if (count == events) endedAt.set(System.nanoTime());
            });
        Duration grace = Duration.ofHours(1), day = Duration.ofDays(1);
        var money = orders.mapValues(order -> sum(1, order.cents()));
        money.groupBy((customer, value) -> "all", Grouped.with("windows", text, bytes))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(5), grace).advanceBy(Duration.ofMinutes(1)))
            .reduce(StreamsPeer::add, Materialized.with(text, bytes));
        money.groupByKey(Grouped.with(text, bytes)).reduce(StreamsPeer::add, Materialized.with(text, bytes));
        // Both kinds keep sessions in RocksDB and without a cache: 4.1.1 scans its store in memory over all end times within
        // the gap, and a cache before a session store copies all its keys, for each look-up. 200,000 orders took minutes.
        money.groupByKey(Grouped.with(text, bytes))
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofMinutes(30), grace))
            .reduce(StreamsPeer::add,
                Materialized.<String, byte[]>as(Stores.persistentSessionStore("sessions", grace.plusMinutes(30)))
                    .withKeySerde(text).withValueSerde(bytes).withCachingDisabled());
        orders.flatMap((customer, order) -> order.lines().stream().map(line -> KeyValue.pair(line.product(), sum(line.quantity(), line.cents()))).toList())
            .groupByKey(Grouped.with("products", text, bytes)).reduce(StreamsPeer::add, Materialized.with(text, bytes));
        orders.flatMap((customer, order) -> order.lines().stream().map(line -> KeyValue.pair(line.category(), sum(line.quantity(), line.cents()))).toList())
            .groupByKey(Grouped.with("hours", text, bytes))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofHours(1), grace)).reduce(StreamsPeer::add, Materialized.with(text, bytes));

        KafkaStreams streams = new KafkaStreams(builder.build(settings), settings);
        streams.start();
        while (endedAt.get() == 0) Thread.sleep(20);
        System.out.printf(java.util.Locale.ROOT, "{\"events\": %d, \"seconds\": %.3f, \"cpu_seconds\": %.3f}%n",
            events - WARM_UP, (endedAt.get() - startedAt.get()) / 1e9, (cpuTime() - usedBefore.get()) / 1e9);
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
