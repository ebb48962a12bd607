import java.nio.file.Path;
import org.apache.activemq.artemis.core.config.impl.FileConfiguration;
import org.apache.activemq.artemis.core.config.FileDeploymentManager;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;

/** Apache ActiveMQ Artemis with the broker.xml of one folder. Prints "ready" when its acceptors are bound. */
public final class Artemis {
    public static void main(final String[] arguments) throws Exception {
        final FileConfiguration configuration = new FileConfiguration();
        new FileDeploymentManager(Path.of(arguments[0], "broker.xml").toUri().toString())
                .addDeployable(configuration).readConfiguration();
        final EmbeddedActiveMQ broker = new EmbeddedActiveMQ().setConfiguration(configuration);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                broker.stop();
            } catch (final Exception error) {
                throw new IllegalStateException(error);
            }
        }));
        broker.start();
        System.out.println("ready");
    }
}
