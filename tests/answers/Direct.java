// Who makes the peak? Direct.fillBuffers: 200 direct buffers of 100,000 bytes.
import java.nio.ByteBuffer;

public class Direct {
    static final ByteBuffer[] kept = new ByteBuffer[200];

    static void fillBuffers() {
        for (int i = 0; i < kept.length; i++) kept[i] = ByteBuffer.allocateDirect(100_000);
    }

    public static void main(String[] args) {
        fillBuffers();
        System.exit(kept[7].get(3));
    }
}
