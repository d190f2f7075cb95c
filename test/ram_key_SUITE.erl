%% Keys: random terms (ram_key_prop), the form itself as a table, limits, two nodes, and where the
%% library is found. A failure prints the seed; RAM_SEED=<integer> runs the same cases again.
-module(ram_key_SUITE).

-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

-compile(export_all).

-define(TERMS, ram_case:amount(4000, 20000)).
-define(KEY_BYTES_MAX, (1 bsl 20)).

suite() -> [{timetrap, {minutes, 2}}].

all() ->
    [every_term_comes_back_from_its_key,
     terms_have_one_key_exactly_when_they_are_identical,
     keys_sort_as_erlang_sorts_their_terms,
     bytes_near_a_key_are_badarg_or_a_key,
     the_form_of_a_key_never_changes,
     the_two_zeros_are_two_keys,
     references_that_differ_in_zeros_at_the_end_have_one_key,
     ties_are_broken_where_they_stand,
     integers_come_before_floats_inside_map_keys,
     maps_with_atoms_as_keys_sort_by_text_inside_map_keys_too,
     a_local_fun_has_no_key_wherever_it_hides,
     a_key_is_badarg_from_one_byte_above_the_limit,
     a_million_elements_and_depth_of_a_hundred_thousand_work,
     maps_nest_in_map_keys_to_a_limit,
     native_records_are_keys_where_the_virtual_machine_has_them,
     a_key_that_only_a_newer_otp_can_read_is_told_as_such,
     native_records_nest_to_a_limit,
     two_nodes_agree_whatever_order_they_made_their_atoms_in,
     a_library_beside_the_beam_is_found].

%%% Random terms

every_term_comes_back_from_its_key(_) ->
    check(ram_key_prop:round_trip()).

terms_have_one_key_exactly_when_they_are_identical(_) ->
    check(ram_key_prop:identity()).

keys_sort_as_erlang_sorts_their_terms(_) ->
    check(ram_key_prop:order()),
    %% The rest were equal, or differed in what we order in our own way.
    ?assert(ram_key_prop:decided() > ?TERMS div 2).

bytes_near_a_key_are_badarg_or_a_key(_) ->
    check(ram_key_prop:hostile_bytes()).

%% Not shrunk: these terms are small, and PropEr takes all memory to shrink what is this nested.
check(Property) ->
    ram_property:check(Property, ?TERMS, [noshrink]).

%%% The form

the_form_of_a_key_never_changes(_) ->
    [?assertEqual({Term, Hex}, {Term, binary:encode_hex(ram_nif:key_encode(Term))})
     || {Term, Hex} <- vectors()],
    [?assertEqual(Term, ram_nif:key_decode(binary:decode_hex(Hex))) || {Term, Hex} <- vectors()].

%% On disk, in snapshots and between members of different versions: what stands here, stands.
vectors() ->
    numbers() ++ names() ++ compounds().

numbers() ->
    [{0, <<"8000">>}, {zero(1), <<"8001">>}, {0.0, <<"8002">>},
     {1, <<"8200">>}, {1.0, <<"8201">>}, {-1, <<"7DFE">>}, {-1.0, <<"7DFF">>},
     {5, <<"842200">>}, {255, <<"898100">>}, {256, <<"8A00">>}, {12345, <<"8F427400">>},
     {2147483647, <<"A0818181816200">>}, {1 bsl 63, <<"C100">>}, {-(1 bsl 63), <<"3EFE">>},
     {1 bsl 64, <<"C2004000">>}, {(1 bsl 70) + 1, <<"C20046020202020202020202", "0300">>},
     {1 bsl 1024, <<"C381", "01", (zeros(128))/binary>>},
     {-(1 bsl 1024), <<"3C7E", "FE", (binary:copy(<<"FF">>, 128))/binary>>},
     {1 bsl 2000, <<"C3F0FB", "01", (zeros(250))/binary>>},
     {0.5, <<"81043101">>}, {-0.5, <<"7EFBCEFF">>}, {3.14, <<"834A7C72537763257201">>},
     {5.0e-324, <<"81000001">>}, {1.7976931348623157e308, <<"C203FF818181818181817201">>}].

zeros(Bytes) -> binary:copy(<<"00">>, Bytes).

names() ->
    [{a, <<"CC6100">>}, {'', <<"CC00">>}, {undefined, <<"CC756E646566696E656400">>},
     {list_to_atom([0, 1, 2, 233, 8364]), <<"CC0101010202C3A9E282AC00">>},
     {binary_to_term(<<131, 103, 100, 0, 3, "a@b", 7:32, 8:32, 2>>),
      <<"DC61406200000000070000000800000002">>},
     {binary_to_term(<<131, 120, 100, 0, 3, "a@b", 9:64, 3:32>>),
      <<"D861406200000000000000000900000003">>},
     {binary_to_term(<<131, 90, 3:16, 100, 0, 3, "a@b", 4:32, 1:32, 2:32, 3:32>>),
      <<"D06140620000000004", "03", "000000010000000200000003">>},
     {fun lists:map/2, <<"D46C69737473006D61700002">>}].

compounds() ->
    [{<<>>, <<"F00000">>}, {<<"ab">>, <<"F061620008">>}, {<<0>>, <<"F000FF0008">>},
     {<<1:1>>, <<"F0800001">>}, {<<128>>, <<"F0800008">>}, {<<0, 5:3>>, <<"F000FFA00003">>},
     {{}, <<"E000">>}, {{user, 12345}, <<"E002CC75736572008F427400">>},
     {erlang:make_tuple(240, []), <<"E0F0F0", (binary:copy(<<"E8">>, 240))/binary>>},
     {[], <<"E8">>}, {[1], <<"EC8200E8">>}, {[a | b], <<"ECCC6100CC6200">>},
     {"\0", <<"EC8000E8">>}, {#{}, <<"E400">>},
     {#{1.0 => x, 1 => 1.0, a => b}, <<"E403", "8200C88201CC6100", "8201CC7800CC6200">>},
     {#{#{k => 2.5} => 2.5}, <<"E401", "E401CC6B00C8832201", "832201">>}].

%%% Order

the_two_zeros_are_two_keys(_) ->
    [Int, Minus, Plus] = Keys = [ram_nif:key_encode(Zero) || Zero <- [0, zero(1), zero(0)]],
    ?assert(Int < Minus andalso Minus < Plus),
    ?assertEqual([<<0:64>>, <<1:1, 0:63>>, <<0:64>>],
                 [<<(ram_nif:key_decode(Key))/float>> || Key <- Keys]),
    ?assertNotEqual(ram_nif:key_encode(#{x => {zero(0)}}), ram_nif:key_encode(#{x => {zero(1)}})).

%% Not written out: the compiler of OTP 25 makes one constant of `{0.0}` and `{-0.0}`.
zero(Sign) ->
    <<Float/float>> = <<Sign:1, 0:63>>,
    Float.

references_that_differ_in_zeros_at_the_end_have_one_key(_) ->
    Reference = fun(Words) ->
                        binary_to_term(<<131, 90, (length(Words)):16, 100, 3:16, "a@b", 7:32,
                                         << <<Word:32>> || Word <- Words >>/binary>>)
                end,
    [begin
         [First | _] = References = [Reference(Words ++ lists:duplicate(Zeros, 0))
                                     || Zeros <- lists:seq(0, 5 - length(Words))],
         [?assertEqual({R, true}, {R, R =:= First}) || R <- References],
         ?assertMatch([_], lists:usort([ram_nif:key_encode(R) || R <- References]))
     end || Words <- [[0], [9], [0, 9], [9, 0, 8], [9, 0, 0, 8], [9, 8, 0, 0, 7]]],
    <<Head:9/binary, 3, Words:12/binary>> = ram_nif:key_encode(Reference([9])),
    ?assertError(badarg, ram_nif:key_decode(<<Head/binary, 5, Words/binary, 0:64>>)).

ties_are_broken_where_they_stand(_) ->
    Ascending = [-2, -1, -1.0, -1.0e-9, 0, 1, 1.0, 1 bsl 53, float(1 bsl 53), (1 bsl 53) + 1,
                 (1 bsl 63) - 1, 1 bsl 63, float(1 bsl 63), {1, b}, {1.0, a}],
    Keys = [ram_nif:key_encode(Term) || Term <- Ascending],
    ?assertEqual(lists:usort(Keys), Keys).

integers_come_before_floats_inside_map_keys(_) ->
    %% Unlike elsewhere; and of values inside a key, but not of the values of the map itself.
    Ascending = [[#{2 => 0}, #{1.0 => 0}], [#{[2 | 7] => 0}, #{[2 | 1.5] => 0}],
                 [#{#{a => 2} => 0}, #{#{a => 1.0} => 0}], [#{a => 1.0}, #{a => 2}]],
    [begin
         ?assert(A < B),
         ?assert(ram_nif:key_encode(A) < ram_nif:key_encode(B))
     end || [A, B] <- Ascending].

%% Unlike in Erlang from OTP 27 on, where it depends on which atom a node made first.
maps_with_atoms_as_keys_sort_by_text_inside_map_keys_too(_) ->
    Unique = integer_to_list(erlang:unique_integer([positive])),
    [Second, First] = [list_to_atom(Name ++ Unique) || Name <- ["b", "a"]],
    {A, B} = {#{First => 0, Second => 1}, #{First => 1, Second => 0}},
    [?assert(ram_nif:key_encode(Wrap(A)) < ram_nif:key_encode(Wrap(B)))
     || Wrap <- [fun(Map) -> Map end, fun(Map) -> #{Map => 0} end, fun(Map) -> #{[Map] => 0} end]].

%%% Limits

a_local_fun_has_no_key_wherever_it_hides(_) ->
    Fun = fun(X) -> X end,
    [?assertError(badarg, ram_nif:key_encode(Term))
     || Term <- [Fun, {Fun}, [1, Fun], [1 | Fun], #{Fun => 1}, #{a => #{b => Fun}}]].

a_key_is_badarg_from_one_byte_above_the_limit(_) ->
    Largest = binary:copy(<<1>>, ?KEY_BYTES_MAX - 3),
    ?assertEqual(?KEY_BYTES_MAX, byte_size(ram_nif:key_encode(Largest))),
    %% OTP 27 and newer have no integer of so many bytes, so they are three.
    Integers = lists:duplicate(3, 1 bsl (3 * ?KEY_BYTES_MAX)),
    [?assertError(badarg, ram_nif:key_encode(Term))
     || Term <- [<<Largest/binary, 1>>, {Largest}, [Largest | a], <<Largest/binary, 1:1>>,
                 binary:copy(<<0>>, ?KEY_BYTES_MAX div 2), Integers,
                 erlang:make_tuple(?KEY_BYTES_MAX, []), lists:duplicate(?KEY_BYTES_MAX, 0),
                 #{Largest => 1}, maps:from_keys(lists:seq(1, ?KEY_BYTES_MAX div 4), 0)]].

a_million_elements_and_depth_of_a_hundred_thousand_work(_) ->
    Wraps = [fun(T) -> {T} end, fun(T) -> [T] end, fun(T) -> [T | a] end, fun(T) -> #{k => T} end],
    Deep = [lists:foldl(fun(_, T) -> Wrap(T) end, 0, lists:seq(1, 100000)) || Wrap <- Wraps],
    Long = lists:duplicate(?KEY_BYTES_MAX div 2 - 1, []),
    [?assert(ram_nif:key_decode(ram_nif:key_encode(T)) =:= T) || T <- [Long | Deep]],
    Million = lists:seq(1, 1000000),
    Deeper = lists:foldl(fun(_, T) -> [T] end, 0, Million),
    [?assertError(badarg, ram_nif:key_encode(T)) || T <- [Million, Deeper]].

maps_nest_in_map_keys_to_a_limit(_) ->
    Nested = fun(Depth) -> lists:foldl(fun(_, T) -> #{T => 0} end, 0, lists:seq(1, Depth)) end,
    ?assertEqual(Nested(128), ram_nif:key_decode(ram_nif:key_encode(Nested(128)))),
    ?assertError(badarg, ram_nif:key_encode(Nested(129))).

%%% Native records, of OTP 29

-define(POINT_KEY, <<"E2", "67656F00", "706F696E7400", "01", "02", "7800", "7900">>).

point(X, Y) -> ram_records:record(geo, point, true, [{x, X}, {y, Y}]).

native_records_are_keys_where_the_virtual_machine_has_them(_) ->
    with_native_records(fun() ->
        Point = point(1, [2.5]),
        Key = binary:decode_hex(<<?POINT_KEY/binary, "8200", "EC832201E8">>),
        ?assertEqual(Key, ram_nif:key_encode(Point)),
        Nested = [Point, {Point}, [a, Point], [a | Point], #{Point => a}, #{a => Point},
                  point(Point, {Point}), point([point(Point, #{Point => Point})], "")],
        [?assertEqual(Term, ram_nif:key_decode(ram_nif:key_encode(Term))) || Term <- Nested],
        Ascending = [{}, {Point}, point(1, 2), point(1.5, 1), point(2, 1), #{}],
        ?assertEqual(Ascending, lists:sort(Ascending)),
        Keys = [ram_nif:key_encode(Term) || Term <- Ascending],
        ?assertEqual(Keys, lists:sort(Keys)),
        Fun = fun() -> Point end,
        [?assertError(badarg, ram_nif:key_encode(Term))
         || Term <- [point(Fun, 1), {point(1, {Fun})}, point(binary:copy(<<1>>, ?KEY_BYTES_MAX), 1),
                     point(binary:copy(<<1>>, 50 * ?KEY_BYTES_MAX), 1)]]
    end).

%% What a member of a mixed cluster is given by one with OTP 29, byte by byte.
a_key_that_only_a_newer_otp_can_read_is_told_as_such(_) ->
    Key = binary:decode_hex(<<?POINT_KEY/binary, "8200", "8400">>),
    InTuple = <<16#E0, 1, Key/binary>>,
    case ram_records:available() of
        true -> ?assertEqual({point(1, 4)}, ram_nif:key_decode(InTuple));
        false -> [?assertError(unreadable_key, ram_nif:key_decode(K)) || K <- [Key, InTuple]]
    end,
    ?assertError(badarg, ram_nif:key_decode(binary:part(Key, 0, byte_size(Key) - 1))).

native_records_nest_to_a_limit(_) ->
    with_native_records(fun() ->
        Nested = fun(Depth) -> lists:foldl(fun(_, T) -> [point(T, 0)] end, 0,
                                           lists:seq(1, Depth)) end,
        ?assertEqual(Nested(128), ram_nif:key_decode(ram_nif:key_encode(Nested(128)))),
        ?assertError(badarg, ram_nif:key_encode(Nested(129))),
        Beside = lists:duplicate(200, Nested(100)),
        ?assertEqual(Beside, ram_nif:key_decode(ram_nif:key_encode(Beside)))
    end).

with_native_records(Test) ->
    case ram_records:available() of
        true -> Test();
        false -> {skip, "native records came with OTP 29"}
    end.

%%% Nodes

two_nodes_agree_whatever_order_they_made_their_atoms_in(_) ->
    Numbers = lists:seq(1, 200),
    Here = [atom(N) || N <- Numbers],
    Peer = start_peer(code:get_path()),
    _ = peer:call(Peer, ?MODULE, atoms, [lists:reverse(Numbers)]),
    Seed = {ram_property:seed(), 2, 3},
    ct:log("RAM_SEED=~p", [element(1, Seed)]),
    {ok, Random} = proper_gen:pick(proper_types:vector(1500, ram_terms:term()), 30, Seed),
    Maps = [maps:from_keys(lists:sublist(Here, From, Size), From)
            || From <- lists:seq(1, 100), Size <- [2, 5, 32, 33, 70]],
    Terms = [Here | Maps] ++ Random,
    ?assert(length(Terms) > 2000),
    There = peer:call(Peer, ?MODULE, keys, [term_to_binary(Terms)], 30000),
    [?assertEqual({Term, ram_nif:key_encode(Term)}, {Term, Key})
     || {Term, Key} <- lists:zip(Terms, There)],
    peer:stop(Peer).

atoms(Numbers) -> [atom(N) || N <- Numbers].

atom(N) -> list_to_atom("ram_key_atom_" ++ integer_to_list(N)).

keys(Terms) -> [ram_nif:key_encode(Term) || Term <- binary_to_term(Terms)].

a_library_beside_the_beam_is_found(Config) ->
    Flat = ?config(priv_dir, Config),
    Library = filename:join(code:priv_dir(ram), "ram_nif.so"),
    [{ok, _} = file:copy(File, filename:join(Flat, filename:basename(File)))
     || File <- [code:which(ram_nif), Library]],
    Peer = start_peer([Flat]),
    ?assertEqual({error, bad_name}, peer:call(Peer, code, priv_dir, [ram])),
    ?assertEqual(<<16#82, 0>>, peer:call(Peer, ram_nif, key_encode, [1])),
    peer:stop(Peer).

%% Without distribution, so that no epmd is needed.
start_peer(Path) ->
    {ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["-pa" | Path]}),
    Peer.
