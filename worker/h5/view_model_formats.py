"""What the GUI needs in the file of each view model that a bundle can hold. Data only.

Without one of these attributes or datasets the GUI loses the record of the simulation, and says nothing. They are the
attributes that tvb-framework 2.10 declares as required; `tests/gui` compares the table with its classes.
"""

from collections.abc import Iterable

#: Names of attributes and datasets, by the class that the GUI loads the file into.
REQUIRED_BY_VIEW_MODEL = {
    "tvb.adapters.analyzers.metrics_group_timeseries.TimeseriesMetricsAdapterModel": (
        "algorithms is_metric_operation time_series"
    ),
    "tvb.adapters.uploaders.tvb_importer.TVBImporterModel": "data_file data_subject is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.AdditiveNoiseViewModel": "is_metric_operation noise_seed nsig ntau",
    "tvb.core.entities.file.simulator.view_model.BoldRegionROIViewModel": (
        "hrf_kernel hrf_length is_metric_operation period"
    ),
    "tvb.core.entities.file.simulator.view_model.BoldViewModel": "hrf_kernel hrf_length is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.CortexViewModel": (
        "coupling_strength is_metric_operation region_mapping_data"
    ),
    "tvb.core.entities.file.simulator.view_model.Dop853StochasticViewModel": "dt is_metric_operation noise",
    "tvb.core.entities.file.simulator.view_model.Dop853ViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.Dopri5StochasticViewModel": "dt is_metric_operation noise",
    "tvb.core.entities.file.simulator.view_model.Dopri5ViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.EEGViewModel": (
        "is_metric_operation period projection region_mapping sensors sigma"
    ),
    "tvb.core.entities.file.simulator.view_model.EulerDeterministicViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.EulerStochasticViewModel": "dt is_metric_operation noise",
    "tvb.core.entities.file.simulator.view_model.GlobalAverageViewModel": "is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.HeunDeterministicViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.HeunStochasticViewModel": "dt is_metric_operation noise",
    "tvb.core.entities.file.simulator.view_model.IdentityViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.MEGViewModel": (
        "is_metric_operation period projection region_mapping sensors"
    ),
    "tvb.core.entities.file.simulator.view_model.MultiplicativeNoiseViewModel": (
        "b is_metric_operation noise_seed nsig ntau"
    ),
    "tvb.core.entities.file.simulator.view_model.RawViewModel": "is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.RungeKutta4thOrderDeterministicViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.SimulatorAdapterModel": (
        "connectivity coupling integrator is_metric_operation model monitors simulation_length"
    ),
    "tvb.core.entities.file.simulator.view_model.SpatialAverageViewModel": "is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.SubSampleViewModel": "is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.TemporalAverageViewModel": "is_metric_operation period",
    "tvb.core.entities.file.simulator.view_model.VODEStochasticViewModel": "dt is_metric_operation noise",
    "tvb.core.entities.file.simulator.view_model.VODEViewModel": "dt is_metric_operation",
    "tvb.core.entities.file.simulator.view_model.iEEGViewModel": (
        "is_metric_operation period projection region_mapping sensors sigma"
    ),
    "tvb.simulator.coupling.Difference": "a",
    "tvb.simulator.coupling.HyperbolicTangent": "a b midpoint sigma",
    "tvb.simulator.coupling.Kuramoto": "a",
    "tvb.simulator.coupling.Linear": "a b",
    "tvb.simulator.coupling.PreSigmoidal": "G H P Q dynamic globalT theta",
    "tvb.simulator.coupling.Scaling": "a",
    "tvb.simulator.coupling.Sigmoidal": "a cmax cmin midpoint sigma",
    "tvb.simulator.coupling.SigmoidalJansenRit": "a cmax cmin midpoint r",
    "tvb.simulator.models.epileptor.Epileptor": (
        "Iext Iext2 Kf Ks Kvf a aa b bb c d modification r s slope state_variable_range tau tt variables_of_interest x0"
    ),
    "tvb.simulator.models.epileptor.Epileptor2D": (
        "Iext Ks Kvf a b c d modification r slope state_variable_range tt variables_of_interest x0"
    ),
    "tvb.simulator.models.epileptor_rs.EpileptorRestingState": (
        "I_rs Iext Iext2 K_rs Kf Ks Kvf a a_rs aa alpha_rs b b_rs bb beta_rs c d d_rs e_rs f_rs gamma_rs p r s "
        "slope state_variable_range tau tau_rs tt variables_of_interest x0"
    ),
    "tvb.simulator.models.epileptorcodim3.EpileptorCodim3": (
        "Ks N R b c dstar modification mu1_start mu1_stop mu2_start mu2_stop nu_start nu_stop "
        "state_variable_range variables_of_interest"
    ),
    "tvb.simulator.models.epileptorcodim3.EpileptorCodim3SlowMod": (
        "Ks N R b c cA cB dstar modification mu1_Aend mu1_Ain mu1_Bend mu1_Bin mu2_Aend mu2_Ain mu2_Bend mu2_Bin "
        "nu_Aend nu_Ain nu_Bend nu_Bin state_variable_range variables_of_interest"
    ),
    "tvb.simulator.models.hopfield.Hopfield": "dynamic state_variable_range tauT taux variables_of_interest",
    "tvb.simulator.models.infinite_theta.CoombesByrne": (
        "Delta alpha eta k state_variable_boundaries state_variable_range v_syn variables_of_interest"
    ),
    "tvb.simulator.models.infinite_theta.CoombesByrne2D": (
        "Delta eta k state_variable_boundaries state_variable_range v_syn variables_of_interest"
    ),
    "tvb.simulator.models.infinite_theta.DumontGutkin": (
        "Delta_e Delta_i Gamma I_e I_i J_ee J_ei J_ie J_ii eta_e eta_i state_variable_boundaries "
        "state_variable_range tau_e tau_i tau_s variables_of_interest"
    ),
    "tvb.simulator.models.infinite_theta.GastSchmidtKnosche_SD": (
        "Delta I J alpha cr cv eta state_variable_boundaries state_variable_range tau tau_A variables_of_interest"
    ),
    "tvb.simulator.models.infinite_theta.GastSchmidtKnosche_SF": (
        "Delta I J alpha cr cv eta state_variable_boundaries state_variable_range tau tau_A variables_of_interest"
    ),
    "tvb.simulator.models.infinite_theta.MontbrioPazoRoxin": (
        "Delta Gamma I J coupling_terms cr cv eta parameter_names state_variable_boundaries state_variable_dfuns "
        "state_variable_range tau variables_of_interest"
    ),
    "tvb.simulator.models.jansen_rit.JansenRit": (
        "A B J a a_1 a_2 a_3 a_4 b mu nu_max p_max p_min r state_variable_range v0 variables_of_interest"
    ),
    "tvb.simulator.models.jansen_rit.ZetterbergJansen": (
        "He Hi P Q U e0 gamma_1 gamma_1T gamma_2 gamma_2T gamma_3 gamma_3T gamma_4 gamma_5 ke ki rho_1 rho_2 "
        "state_variable_range variables_of_interest"
    ),
    "tvb.simulator.models.k_ion_exchange.KIonEx": (
        "Cm Delta E J K_bath R_minus R_plus Vstar c_minus c_plus coupling_terms epsilon eta gamma "
        "state_variable_boundaries state_variable_range tau_n variables_of_interest"
    ),
    "tvb.simulator.models.larter_breakspear.LarterBreakspear": (
        "C Iext QV_max QZ_max TCa TK TNa VCa VK VL VNa VT ZT aee aei aie ane ani b d_Ca d_K d_Na d_V d_Z gCa gK "
        "gL gNa phi rNMDA state_variable_range t_scale tau_K variables_of_interest"
    ),
    "tvb.simulator.models.linear.Linear": (
        "coupling_terms gamma parameter_names state_variable_dfuns state_variable_range variables_of_interest"
    ),
    "tvb.simulator.models.oscillator.Generic2dOscillator": (
        "I a alpha b beta c d e f g gamma state_variable_range tau variables_of_interest"
    ),
    "tvb.simulator.models.oscillator.Kuramoto": "omega state_variable_range variables_of_interest",
    "tvb.simulator.models.oscillator.SupHopf": "a omega state_variable_range variables_of_interest",
    "tvb.simulator.models.stefanescu_jirsa.ReducedSetFitzHughNagumo": (
        "K11 K12 K21 a b mu sigma state_variable_range tau variables_of_interest"
    ),
    "tvb.simulator.models.stefanescu_jirsa.ReducedSetHindmarshRose": (
        "K11 K12 K21 a b c d mu r s sigma state_variable_range variables_of_interest xo"
    ),
    "tvb.simulator.models.wilson_cowan.WilsonCowan": (
        "P Q a_e a_i alpha_e alpha_i b_e b_i c_e c_ee c_ei c_i c_ie c_ii k_e k_i r_e r_i shift_sigmoid "
        "state_variable_range tau_e tau_i theta_e theta_i variables_of_interest"
    ),
    "tvb.simulator.models.wong_wang.ReducedWongWang": (
        "I_o J_N a b d gamma sigma_noise state_variable_boundaries state_variable_range tau_s variables_of_interest w"
    ),
    "tvb.simulator.models.wong_wang_exc_inh.DecoBalancedExcInh": (
        "G I_ext I_o J_N J_i M_i W_e W_i a_e a_i b_e b_i d_e d_i gamma_e gamma_i lamda state_variable_boundaries "
        "state_variable_range tau_e tau_i variables_of_interest w_p"
    ),
    "tvb.simulator.models.wong_wang_exc_inh.ReducedWongWangExcInh": (
        "G I_ext I_o J_N J_i W_e W_i a_e a_i b_e b_i d_e d_i gamma_e gamma_i lamda state_variable_boundaries "
        "state_variable_range tau_e tau_i variables_of_interest w_p"
    ),
    "tvb.simulator.models.zerlaut.ZerlautAdaptationFirstOrder": (
        "C_m E_L_e E_L_i E_e E_i K_ext_e K_ext_i N_tot P_e P_i Q_e Q_i S_i T a_e a_i b_e b_i external_input_ex_ex "
        "external_input_ex_in external_input_in_ex external_input_in_in g g_L p_connect_e p_connect_i "
        "state_variable_boundaries state_variable_range tau_OU tau_e tau_i tau_w_e tau_w_i variables_of_interest "
        "weight_noise"
    ),
    "tvb.simulator.models.zerlaut.ZerlautAdaptationSecondOrder": (
        "C_m E_L_e E_L_i E_e E_i K_ext_e K_ext_i N_tot P_e P_i Q_e Q_i S_i T a_e a_i b_e b_i external_input_ex_ex "
        "external_input_ex_in external_input_in_ex external_input_in_in g g_L p_connect_e p_connect_i "
        "state_variable_boundaries state_variable_range tau_OU tau_e tau_i tau_w_e tau_w_i variables_of_interest "
        "weight_noise"
    ),
    "tvb.simulator.noise.Additive": "noise_seed nsig ntau",
    "tvb.simulator.noise.Multiplicative": "b noise_seed nsig ntau",
}


def missing_in(view_model: str, names: Iterable[str]) -> list[str]:
    """Return the required names that a view model of this class lacks; none for an unknown class."""
    return sorted(set(REQUIRED_BY_VIEW_MODEL.get(view_model, "").split()) - set(names))
