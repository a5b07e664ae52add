import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

/**
 * Says where Kafka's own producer sends keys. The first argument and those after it are numbers of
 * partitions; each line of standard input is a key in hexadecimal digits. Each line of standard output
 * is the key, its hash and a partition for each of the numbers.
 */
public class Partitions {
    public static void main(String[] counts) throws IOException {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            byte[] key = HexFormat.of().parseHex(line);
            out.append('"').append(line).append("\" ");
            out.append(String.format("%08x", Utils.murmur2(key)));
            for (String count : counts) {
                int partition = BuiltInPartitioner.partitionForKey(key, Integer.parseInt(count));
                out.append(' ').append(partition);
            }
            out.append('\n');
        }
        System.out.print(out);
    }
}
