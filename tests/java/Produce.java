import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Produces the records on standard input with Kafka's own client. Arguments: the servers, then a topic
 * and its settings ({@code key=value,key=value}) for each topic that gets the records. A line is
 * partition, timestamp, key, value and then names and values of headers; bytes are base64 behind an
 * equals sign, and what is not there is {@code null}.
 */
public class Produce {
    public static void main(String[] args) throws Exception {
        List<String[]> lines = read();
        for (int i = 1; i < args.length; i += 2) {
            produce(args[0], args[i], args[i + 1], lines);
        }
    }

    private static List<String[]> read() throws IOException {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        var lines = new ArrayList<String[]>();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            lines.add(line.split(" "));
        }
        return lines;
    }

    private static void produce(String servers, String topic, String settings, List<String[]> lines)
            throws Exception {
        var properties = new Properties();
        properties.put("bootstrap.servers", servers);
        for (String setting : settings.split(",")) {
            int equals = setting.indexOf('=');
            properties.put(setting.substring(0, equals), setting.substring(equals + 1));
        }
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<byte[], byte[]>(properties, bytes, bytes)) {
            var outcomes = new ArrayList<Future<RecordMetadata>>();
            for (String[] line : lines) {
                outcomes.add(producer.send(record(topic, line)));
            }
            for (Future<RecordMetadata> outcome : outcomes) {
                outcome.get();
            }
        }
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String[] line) {
        Integer partition = line[0].equals("null") ? null : Integer.valueOf(line[0]);
        Long timestamp = line[1].equals("null") ? null : Long.valueOf(line[1]);
        var headers = new ArrayList<Header>();
        for (int i = 4; i < line.length; i += 2) {
            String key = new String(bytes(line[i]), StandardCharsets.UTF_8);
            headers.add(new RecordHeader(key, bytes(line[i + 1])));
        }
        return new ProducerRecord<>(topic, partition, timestamp, bytes(line[2]), bytes(line[3]), headers);
    }

    private static byte[] bytes(String word) {
        return word.equals("null") ? null : Base64.getDecoder().decode(word.substring(1));
    }
}
