import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.tools.ProducerPerformance;

/**
 * Runs a workload with Kafka's own client: by callbacks (the default), or with Kafka's
 * ProducerPerformance (surface "performance"). See bench/README.md for the rules of every adapter.
 */
public final class Bench {
    /** As Ottla's, since the default of 16 KiB would be a handicap. */
    private static final int BATCH_BYTES = 128 * 1024;
    /** As Ottla's. */
    private static final long BUFFER_BYTES = 64L * 1024 * 1024;
    private static final String[] ACTIONS = {"login", "logout", "view", "click", "buy"};
    private static final Pattern SENT = Pattern.compile("(\\d+) records sent, .*ms 99.9th");

    private final JsonNode workload;
    private final Properties settings = new Properties();
    private final byte[][] values;
    private final byte[][] keys;
    private final String[] topics;
    private final AtomicLong acknowledged = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();
    private final AtomicLong measured = new AtomicLong();
    private final long[] latenciesUs;

    private Bench(JsonNode workload) {
        this.workload = workload;
        values = values(workload.get("size").asInt());
        keys = new byte[workload.get("keys").asInt()][];
        for (int key = 0; key < keys.length; key++) {
            keys[key] = ("user_" + key).getBytes(StandardCharsets.UTF_8);
        }
        List<String> names = new ArrayList<>();
        workload.get("topics").forEach(name -> names.add(name.asText()));
        topics = names.toArray(new String[0]);
        boolean paced = workload.get("rate").asInt() > 0;
        latenciesUs = new long[paced ? workload.get("records").asInt() : 0];
        settings.put("bootstrap.servers", workload.get("servers").asText());
        settings.put("acks", workload.get("acks").asText());
        settings.put("compression.type", workload.get("codec").asText());
        settings.put("batch.size", String.valueOf(BATCH_BYTES));
        settings.put("buffer.memory", String.valueOf(BUFFER_BYTES));
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        if (!workload.get("linger_ms").isNull()) {
            settings.put("linger.ms", String.valueOf(workload.get("linger_ms").asInt()));
        }
        if (!workload.get("batch_bytes").isNull()) {
            settings.put("batch.size", workload.get("batch_bytes").asText());
        }
        workload.get("properties").properties()
            .forEach(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            throw new IllegalArgumentException("give one argument: the workload as JSON");
        }
        Bench bench = new Bench(new ObjectMapper().readTree(args[0]));
        if (bench.workload.get("surface").asText().equals("performance")) {
            bench.performance();
        } else {
            bench.callbacks();
        }
        System.exit(0);
    }

    private void callbacks() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            send(producer, workload.get("warmup").asInt(), 0);
            double cpu = cpuSeconds();
            long start = System.nanoTime();
            send(producer, workload.get("records").asInt(), workload.get("rate").asInt());
            double seconds = (System.nanoTime() - start) / 1e9;
            print("Java", acknowledged.get(), seconds, cpuSeconds() - cpu);
        }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, int records, int rate)
            throws InterruptedException {
        int threads = workload.get("threads").asInt();
        List<Thread> all = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
            int share = records / threads + (thread < records % threads ? 1 : 0);
            all.add(new Thread(() -> sendShare(producer, share, (double) rate / threads)));
        }
        all.forEach(Thread::start);
        for (Thread thread : all) {
            thread.join();
        }
        producer.flush();
    }

    private void sendShare(KafkaProducer<byte[], byte[]> producer, int records, double rate) {
        long start = System.nanoTime();
        for (int number = 0; number < records; number++) {
            byte[] key = keys.length == 0 ? null : keys[number % keys.length];
            String topic = topics[number % topics.length];
            ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(topic, key, values[number % values.length]);
            if (rate == 0) {
                producer.send(record, (metadata, error) -> settled(error));
                continue;
            }
            long due = start + (long) (number * 1e9 / rate);
            for (long early = due - System.nanoTime(); early > 0; early = due - System.nanoTime()) {
                LockSupport.parkNanos(early);
            }
            producer.send(record, (metadata, error) -> {
                settled(error);
                int place = (int) measured.getAndIncrement();
                latenciesUs[place] = (System.nanoTime() - due) / 1000;
            });
        }
    }

    private void settled(Exception error) {
        (error == null ? acknowledged : failed).incrementAndGet();
    }

    /** Kafka's own tool, in this process; it says itself how many records it has sent. */
    private void performance() throws Exception {
        if (keys.length > 0 || topics.length > 1 || workload.get("threads").asInt() > 1) {
            throw new IllegalArgumentException("ProducerPerformance: one topic, thread, no keys");
        }
        Path payloads = Files.createTempFile("payloads", ".txt");
        try {
            List<String> lines = new ArrayList<>();
            for (byte[] value : values) {
                lines.add(new String(value, StandardCharsets.UTF_8));
            }
            Files.write(payloads, lines);
            long warmup = performance(payloads, workload.get("warmup").asInt());
            double cpu = cpuSeconds();
            long start = System.nanoTime();
            long sent = performance(payloads, workload.get("records").asInt());
            double seconds = (System.nanoTime() - start) / 1e9;
            print("ProducerPerformance", warmup + sent, seconds, cpuSeconds() - cpu);
        } finally {
            Files.delete(payloads);
        }
    }

    private long performance(Path payloads, int records) throws Exception {
        List<String> args = new ArrayList<>(List.of(
            "--topic", topics[0], "--num-records", String.valueOf(records),
            "--payload-file", payloads.toString(), "--throughput", "-1", "--producer-props"));
        settings.forEach((name, value) -> args.add(name + "=" + value));
        ByteArrayOutputStream told = new ByteArrayOutputStream();
        PrintStream before = System.out;
        System.setOut(new PrintStream(told, true));
        try {
            ProducerPerformance.main(args.toArray(new String[0]));
        } finally {
            System.setOut(before);
        }
        Matcher last = SENT.matcher(told.toString());
        if (!last.find()) {
            throw new IllegalStateException("ProducerPerformance says: " + told);
        }
        return Long.parseLong(last.group(1));
    }

    private void print(String what, long acknowledged, double seconds, double cpuSeconds)
            throws Exception {
        Map<String, Object> outcome = new LinkedHashMap<>();
        outcome.put("client", what + " " + AppInfoParser.getVersion());
        outcome.put("records", workload.get("records").asLong());
        outcome.put("acknowledged", acknowledged);
        outcome.put("failed", failed.get());
        outcome.put("seconds", seconds);
        outcome.put("cpu_seconds", cpuSeconds);
        outcome.put("peak_rss_kib", peakRssKib());
        outcome.put("latency_us", percentiles());
        outcome.put("requests", null);
        System.out.println(new ObjectMapper().writeValueAsString(outcome));
    }

    private Map<String, Long> percentiles() {
        int count = latenciesUs.length;
        if (count == 0) {
            return null;
        }
        Arrays.sort(latenciesUs);
        Map<String, Long> at = new LinkedHashMap<>();
        at.put("p50", latenciesUs[count / 2]);
        at.put("p90", latenciesUs[(int) (count * 0.9)]);
        at.put("p99", latenciesUs[(int) (count * 0.99)]);
        at.put("p99_9", latenciesUs[(int) (count * 0.999)]);
        at.put("max", latenciesUs[count - 1]);
        return at;
    }

    private static double cpuSeconds() {
        OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return system.getProcessCpuTime() / 1e9;
    }

    private static long peakRssKib() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        return 0;
    }

    /** The same in every adapter: xorshift with 13, 7 and 17 from the same seed. */
    private static byte[][] values(int size) {
        Random random = new Random();
        byte[][] all = new byte[1000][];
        for (int index = 0; index < all.length; index++) {
            StringBuilder text = new StringBuilder();
            while (text.length() < size) {
                long user = random.below(10_000);
                String action = ACTIONS[(int) random.below(5)];
                long amount = random.below(100_000);
                long page = random.below(1000);
                long ms = 1_700_000_000_000L + random.below(100_000_000);
                text.append("{\"user\":\"user_").append(user).append("\",\"action\":\"")
                    .append(action).append("\",\"amount\":").append(amount)
                    .append(",\"url\":\"/home/").append(page).append("\",\"ts\":").append(ms)
                    .append("},");
            }
            all[index] = text.substring(0, size).getBytes(StandardCharsets.UTF_8);
        }
        return all;
    }

    private static final class Random {
        private long state = 88_172_645_463_325_252L;

        long below(long bound) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            return Long.remainderUnsigned(state, bound);
        }
    }
}
