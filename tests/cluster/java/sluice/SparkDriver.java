package sluice;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import org.apache.beam.model.jobmanagement.v1.JobApi;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.runners.spark.SparkPipelineOptions;
import org.apache.beam.runners.spark.metrics.MetricsAccumulator;
import org.apache.beam.runners.spark.translation.SparkBatchPortablePipelineTranslator;
import org.apache.beam.runners.spark.translation.SparkContextFactory;
import org.apache.beam.runners.spark.translation.SparkTranslationContext;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.metrics.MetricsEnvironment;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.util.construction.PTransformTranslation;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.beam.sdk.util.construction.graph.GreedyPipelineFuser;
import org.apache.beam.sdk.util.construction.graph.ProtoOverrides;
import org.apache.beam.sdk.util.construction.graph.SplittableParDoExpander;
import org.apache.beam.sdk.util.construction.graph.TrivialNativeTransformExpander;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Struct;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Runs one batch pipeline of the Beam model with Beam's Spark runner, inside `spark-submit`.
 *
 * <p>The steps are those of Beam's own job server (SparkPipelineRunner). Its argument is a folder with
 * `pipeline.pb` (RunnerApi.Pipeline) and `options.pb` (Struct); it leaves `metrics.pb` there.
 */
public final class SparkDriver {
  private SparkDriver() {}

  public static void main(String[] arguments) throws Exception {
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    Path folder = Paths.get(arguments[0]);
    RunnerApi.Pipeline pipeline =
        RunnerApi.Pipeline.parseFrom(Files.readAllBytes(folder.resolve("pipeline.pb")));
    Struct given = Struct.parseFrom(Files.readAllBytes(folder.resolve("options.pb")));
    SparkPipelineOptions options =
        PipelineOptionsTranslation.fromProto(given).as(SparkPipelineOptions.class);
    String name = folder.getFileName().toString();
    options.setAppName(name);
    options.setRunner(null);
    JobInfo job = JobInfo.create(name, name, "", PipelineOptionsTranslation.toProto(options));
    JobApi.MetricResults metrics = run(pipeline, options, job);
    Files.write(folder.resolve("metrics.pb"), metrics.toByteArray());
  }

  private static JobApi.MetricResults run(
      RunnerApi.Pipeline pipeline, SparkPipelineOptions options, JobInfo job) {
    SparkBatchPortablePipelineTranslator translator = new SparkBatchPortablePipelineTranslator();
    RunnerApi.Pipeline fused = fuse(pipeline, translator);
    JavaSparkContext spark = SparkContextFactory.getSparkContext(options);
    try {
      MetricsEnvironment.setMetricsSupported(true);
      MetricsAccumulator.init(options, spark);
      SparkTranslationContext context = translator.createTranslationContext(spark, options, job);
      translator.translate(fused, context);
      context.computeOutputs();
      return JobApi.MetricResults.newBuilder()
          .addAllAttempted(MetricsAccumulator.getInstance().value().getMonitoringInfos())
          .build();
    } finally {
      spark.stop();
    }
  }

  /** Returns the pipeline in stages of user code between the transforms that Spark does. */
  private static RunnerApi.Pipeline fuse(
      RunnerApi.Pipeline pipeline, SparkBatchPortablePipelineTranslator translator) {
    RunnerApi.Pipeline sized =
        ProtoOverrides.updateTransform(
            PTransformTranslation.PAR_DO_TRANSFORM_URN,
            pipeline,
            SplittableParDoExpander.createSizedReplacement());
    RunnerApi.Pipeline trimmed =
        TrivialNativeTransformExpander.forKnownUrns(sized, translator.knownUrns());
    return GreedyPipelineFuser.fuse(trimmed).toPipeline();
  }
}
